"""A worker knows all activities before it has loaded a client, and refuses wrong settings all the same."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from temporalio import activity

from tests.workers.wired import (
    KUBECONFIG,
    kubeconfig_file,  # noqa: F401
    settings,
)
from workers.settings import (
    AuditSettings,
    AwsSettings,
    EvidenceSettings,
    KubernetesSettings,
    RecordsSettings,
    SettingsError,
    SlackSettings,
)
from workers.wiring import wire

ROOT = Path(__file__).parents[2]
CLIENTS = ("kubernetes", "boto3", "botocore", "httpx", "slack_sdk", "icalendar", "jinja2", "typst", "matplotlib")


def test_every_activity_of_every_system_is_there(kubeconfig_file: Path) -> None:  # noqa: F811
    with wire(settings(kubeconfig_file)) as wired:
        names = [str(activity._Definition.must_from_callable(one).name) for one in wired.activities]
        assert len(names) == len(set(names))
        defined = {
            line.partition('name="')[2].partition('"')[0]
            for file in (ROOT / "activities").rglob("*.py")
            for line in file.read_text(encoding="utf-8").splitlines()
            if line.strip().startswith("@activity.defn(")
        }
        assert set(names) == defined


def test_wiring_loads_no_client(kubeconfig_file: Path) -> None:  # noqa: F811
    code = (
        "import sys, workers.__main__\nfrom workers import settings, wiring\n"
        f"with wiring.wire(settings.load()): print([name for name in {CLIENTS} if name in sys.modules])"
    )
    variables = {
        "RUNBOOKS_KUBERNETES__KUBECONFIG": str(kubeconfig_file),
        "RUNBOOKS_RECORDS__URL": "postgresql://nobody@127.0.0.1:1/nothing",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=kubeconfig_file.parent,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]", f"a worker's start now waits for {done.stdout}: take it from `libraries`"


def test_warming_up_makes_every_system(kubeconfig_file: Path) -> None:  # noqa: F811
    with wire(settings(kubeconfig_file)) as wired:
        wired.warm_up()
        assert all(system.made for system in wired.systems)


@pytest.mark.parametrize(
    ("content", "context", "says"),
    [
        (None, None, "there is no kubeconfig"),
        ("{", None, "can't be read"),
        ("[]", None, "is no kubeconfig"),
        (json.dumps({}), None, "has no current context"),
        (json.dumps(KUBECONFIG), "there", "no context 'there'"),
    ],
)
def test_a_kubeconfig_that_is_of_no_use_is_refused_at_once(
    content: str | None, context: str | None, says: str, tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    wrong = settings(file, kubernetes=KubernetesSettings(kubeconfig=file, context=context))
    with pytest.raises(SettingsError, match=says), wire(wrong):
        raise AssertionError


@pytest.mark.parametrize(
    ("section", "value", "says"),
    [
        ("records", RecordsSettings(url=SecretStr("mysql://a:hunter2@b/c")), "not a PostgreSQL URL"),
        ("audit", AuditSettings(private_key=SecretStr("hunter2")), "no Ed25519 private key"),
    ],
)
def test_other_settings_that_cannot_be_meant_are_refused_at_once(
    section: str,
    value: Any,
    says: str,
    kubeconfig_file: Path,  # noqa: F811
) -> None:
    with pytest.raises(SettingsError, match=says) as refused, wire(settings(kubeconfig_file, **{section: value})):
        raise AssertionError
    assert "hunter2" not in str(refused.value)


def test_an_endpoint_that_is_no_url_is_refused_when_it_is_loaded(kubeconfig_file: Path) -> None:  # noqa: F811
    for section, value in (
        ("aws", AwsSettings(endpoint_url="nowhere")),
        ("evidence", EvidenceSettings(backend="s3", bucket="b", endpoint_url="nowhere")),
    ):
        with (
            wire(settings(kubeconfig_file, **{section: value})) as wired,
            pytest.raises(SettingsError, match="nowhere"),
        ):
            wired.warm_up()


def test_a_backend_that_settings_choose_is_loaded(kubeconfig_file: Path) -> None:  # noqa: F811
    chosen = settings(kubeconfig_file, slack=SlackSettings(backend="slack", token=SecretStr("xoxb-1")))
    with wire(chosen) as wired:
        wired.warm_up()
    assert "slack_sdk" in sys.modules


def test_a_worker_with_wrong_settings_says_so_and_ends_with_2(tmp_path: Path) -> None:
    variables = {"RUNBOOKS_KUBERNETES__KUBECONFIG": str(tmp_path / "none"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "workers"], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no access to Kubernetes: there is no kubeconfig" in done.stderr


def test_what_only_a_client_sees_is_refused_when_it_is_loaded(kubeconfig_file: Path) -> None:  # noqa: F811
    broken = KUBECONFIG | {"contexts": [{"name": "here", "context": {"cluster": "none", "user": "u"}}]}
    kubeconfig_file.write_text(json.dumps(broken), encoding="utf-8")
    with wire(settings(kubeconfig_file)) as wired, pytest.raises(SettingsError, match="no access to Kubernetes"):
        wired.warm_up()
