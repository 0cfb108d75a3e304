"""Three files and one line are enough for a new procedure to be listed, started, recorded, replayed and killed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.steps import ROOT
from tests.plugins.patience import HANGS
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World

FILES = {
    "workflow.txt": "workflows/scaling/add_one_pod.py",
    "replay.txt": "tests/replay/one_pod.py",
    "crash.txt": "tests/crash/scenarios/add_one_pod.py",
}
LINE = '    Procedure("3.1", "scaling.add_one_pod", "Add a pod", _BY),\n'
BEFORE = '    Procedure("3.1", "scaling.manual_scale_up"'
REPLAYED = """
import asyncio
from tests.replay.guard import HISTORIES
from tests.replay.replaying import history, replayer
from workers.registry import procedure

file = HISTORIES / "add_one_pod-scaled.json"
asyncio.run(replayer(procedure("add_one_pod").workflow, "everything checked").replay_workflow(history(file)))
"""
KILLED = """
from tests.crash.scenarios import SCENARIOS
print(*[scenario.name for scenario in SCENARIOS["add_one_pod"]])
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what is in git, with the three files and the line."""
    copy = tmp_path / "checkout"
    told = subprocess.run(("git", "-C", ROOT, "ls-files", "-z"), check=True, stdout=subprocess.PIPE, text=True).stdout
    for name in filter(None, told.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    for source, target in FILES.items():
        shutil.copy(Path(__file__).parent / "new_procedure" / source, copy / target)
    registry = copy / "workers" / "registry.py"
    text = registry.read_text(encoding="utf-8")
    assert text.count(BEFORE) == 1
    registry.write_text(text.replace(BEFORE, LINE + BEFORE), encoding="utf-8")
    return copy


def run(checkout: Path, *arguments: str) -> str:
    """Run Python there, on that copy's modules."""
    done = subprocess.run(
        (sys.executable, *arguments),
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def test_three_files_and_one_line_are_enough(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_file(tmp_path / "settings", "127.0.0.1:1", "runbooks", World())
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings))
    listed = json.loads(run(checkout, "-m", "starters", "catalogue", "add-one-pod", "--format", "json"))
    assert listed["title"] == "Add a pod"
    assert "service" in listed["schema"]["properties"]

    assert "add_one_pod-scaled: " in run(checkout, "-m", "tests.replay.record", "add_one_pod-scaled")
    history = json.loads((checkout / "tests/histories/add_one_pod-scaled.json").read_text(encoding="utf-8"))
    assert history["events"][-1]["eventType"] == "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED"
    run(checkout, "-c", REPLAYED)

    assert run(checkout, "-c", KILLED).split() == ["add-one-pod"]
