"""Where settings come from: what is said, a file, the environment, what runs here; and what is missing."""

import json
import os
import time
from pathlib import Path

import psutil
import pytest

from sandbox.supervisor import State
from tests.starters.cli.typed import ROOT, run
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World
from workers import settings as settings_module
from workers.sections import UnreadableSecret


def test_without_any_settings_one_sentence_says_what_is_missing(empty: Path) -> None:
    began = time.monotonic()
    result = run("status", "x")
    assert result.exit_code == 2
    assert result.stderr.startswith("no settings: set RUNBOOKS_CONFIG, or go where there is a runbooks.toml")
    assert len(result.stderr.splitlines()) == 1
    assert time.monotonic() - began < 120  # nobody was waited for; a loaded machine takes its time


@pytest.mark.parametrize("kind", ["sandbox", "demo"])
def test_what_runs_here_is_used_and_said(
    empty: Path, monkeypatch: pytest.MonkeyPatch, listening: str, kind: str
) -> None:
    settings_file(empty / "var" / kind, listening, "runbooks", World())
    deeper = empty / "a" / "folder"
    deeper.mkdir(parents=True)
    monkeypatch.chdir(deeper)
    result = run("services", "--json")
    assert result.exit_code == 0, result.output
    assert f"using the {kind}'s settings: " in result.stderr
    assert os.environ["AWS_ACCESS_KEY_ID"] == kind, "its AWS takes any, and boto3 asks nobody without"
    assert json.loads(result.stdout)[0]["service"] == "tensafe-server"


def test_down_and_status_mean_the_sandbox_that_commands_use_from_here(
    empty: Path, monkeypatch: pytest.MonkeyPatch, listening: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """From any folder; but a folder that has or had one of its own means that."""
    settings_file(empty / "var/demo", listening, "runbooks", World())
    state = State(status="ready", pid=os.getpid(), created=psutil.Process().create_time())
    (empty / "var/demo/state.json").write_text(state.model_dump_json(), encoding="utf-8")
    deeper, own = empty / "a/folder", empty / "another"
    deeper.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(deeper)
    shown = run("sandbox", "status", "--json")
    assert (shown.exit_code, shown.stderr) == (0, f"in {empty}\n")
    assert [one["directory"] for one in json.loads(capfd.readouterr().out)] == [str(empty / "var/demo")]
    (own / "var/sandbox").mkdir(parents=True)
    (own / "var/sandbox/state.json").write_text(
        state.model_copy(update={"created": 1.0}).model_dump_json(), encoding="utf-8"
    )
    monkeypatch.chdir(own)
    shown = run("sandbox", "status", "--json")
    assert (shown.exit_code, shown.stderr) == (3, "")
    assert [one["status"] for one in json.loads(capfd.readouterr().out)] == ["stopped"]


def test_a_sandbox_that_has_ended_is_not_used(empty: Path) -> None:
    settings_file(empty / "var/sandbox", "127.0.0.1:1", "runbooks", World())
    result = run("services")
    assert (result.exit_code, "no settings" in result.stderr) == (2, True)


@pytest.mark.parametrize("variable", ["TEMPORAL_ADDRESS", "RUNBOOKS_TEMPORAL__ADDRESS"])
def test_the_environment_alone_is_enough(empty: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "127.0.0.1:1")
    result = run("status", "x")
    assert (result.exit_code, "Temporal at 127.0.0.1:1 does not answer" in result.stderr) == (3, True), result.output


def test_a_laptop_can_use_the_workers_own_file(empty: Path) -> None:
    """Whose secrets it can't read."""
    (empty / "runbooks.toml").write_text(
        '[records]\nurl = "file:/nowhere/records"\n[slack]\nbackend = "slack"\ntoken = "file:/nowhere/slack"\n'
        '[temporal]\naddress = "127.0.0.1:1"\n',
        encoding="utf-8",
    )
    assert run("catalogue").exit_code == 0
    assert run("list").exit_code == 3
    used = run("audit", "search")
    assert (used.exit_code, "cannot read the secret's file" in used.stderr) == (2, True), used.output
    # A worker, which needs them all, is told so when it starts.
    with pytest.raises(settings_module.SettingsError, match=r"slack\.token: cannot read the secret's file"):
        settings_module.load()
    later = settings_module.load(secrets=())
    assert "nowhere" not in repr(later)
    with pytest.raises(UnreadableSecret, match="/nowhere/records"):
        later.records.url.get_secret_value()
    (empty / "token").write_text("xoxb-1\n", encoding="utf-8")
    (empty / "runbooks.toml").write_text(
        f'[slack]\nbackend = "slack"\ntoken = "file:{empty}/token"\n', encoding="utf-8"
    )
    token = settings_module.load(secrets=()).slack.token
    assert token is not None
    assert token.get_secret_value() == "xoxb-1"


def test_a_fault_of_the_environment_names_its_variable(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty / "runbooks.toml").write_text("[worker]\ncache_mib = 5\n[temporal]\nadress = 'x'\n", encoding="utf-8")
    monkeypatch.setenv("RUNBOOKS_WORKER__CACHE_MIB", "hunter2")
    result = run("config", "check", "--no-routes")
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    told = {first, second}
    assert any(line.startswith("RUNBOOKS_WORKER__CACHE_MIB (environment): worker.cache_mib: ") for line in told)
    (mistyped,) = [line for line in told if line.startswith("runbooks.toml:4: temporal.adress: ")]
    assert "Known: address, namespace, task_queue" in mistyped
    assert "hunter2" not in result.output
