"""The demo, as people run it, in a folder with a space and an umlaut; and what it does without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sandbox import binaries, manifests
from sandbox.assembly import Environment


@pytest.mark.servers
@pytest.mark.timeout(900)
def test_the_demo_brings_the_service_back_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "ein Pfad" / "für alle"
    folder.mkdir(parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--dir", str(folder / "demo")],
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for told in (
        "webhook and workers",
        "Rolled back to v1.2.3",
        "KubePodCrashLooping (one-of-three) fires: joins this incident",
        "1 run archived, everything that closed before",
        "the chain has 1 record\n",
        "whole: record 1;",
        "Done in",
    ):
        assert told in done.stdout
    file = done.stdout.split("the incident's file  ")[1].splitlines()[0]
    assert Path(file).is_relative_to(folder / "demo")
    assert Path(file).is_file()
    (page,) = (folder / "demo").glob("INC-*.html")
    assert "P1 P1" not in page.read_text(encoding="utf-8")
    assert list((folder / "demo").glob("evidence-INC-*.bundle.zip"))
    for record in folder.rglob("*.pid.json"):
        pid = json.loads(record.read_text(encoding="utf-8"))["pid"]
        assert not Path(f"/proc/{pid}").exists(), record


def test_the_demo_starts_only_what_it_uses(tmp_path: Path) -> None:
    alone, whole = Environment(tmp_path / "alone", whole=False), Environment(tmp_path / "whole")
    names = {process.name for process in alone.restartable}
    assert names == {"service", "webhook", "worker-1", "worker-2"}
    assert {process.name for process in whole.restartable} - names == {
        "database-hosts",
        "barman",
        "node-groups",
        "handover",
        "tls",
        "challenges",
    }
    assert not {"helm", "kubectl", "rsync", "pebble"} & set(binaries.DEMO)
    assert whole.links.keys() - alone.links.keys() == {"AWS", "certificates", "customers' links", "mails"}


@pytest.mark.servers  # none, but one of their programs
def test_what_is_deployed_without_helm_is_what_helm_makes_of_the_chart() -> None:
    rendered = subprocess.run(
        [binaries.find("helm"), "template", manifests.RELEASE, manifests.CHART, "--namespace=tensafe"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    plain = Path(manifests.__file__).with_name("deployment.yaml").read_text(encoding="utf-8")
    assert list(yaml.safe_load_all(rendered)) == list(yaml.safe_load_all(plain))
