"""The `runbooks` command where nothing must be started: wrong input, no Temporal; and what needs no run."""

import base64
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from typer.testing import CliRunner, Result

from starters.__main__ import application
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World

Runbooks = Callable[..., Result]
NOBODY = "127.0.0.1:1"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = settings_file(tmp_path, NOBODY, "runbooks", World())
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(file))
    monkeypatch.setenv("COLUMNS", "200")
    return file


@pytest.fixture
def runbooks(config: Path) -> Runbooks:
    def call(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(application(arguments), list(arguments), input=stdin)

    return call


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["p2-incidnet"], "no procedure 'p2-incidnet'. Known: morning-startup"),
        (["p1-incident", "--input", "{"], "--input: not JSON"),
        (["p1-incident", "--input", "[1]"], "--input: a JSON object is expected"),
        (["p1-incident", "--input", "@nowhere.json"], "--input: cannot read the file"),
        (["p1-incident", "--input", "[" * 100_000], "--input: not JSON"),
        (["p1-incident", "--input", '{"titel": "hunter2"}'], "titel: there is no such field. Known fields: "),
        (["p1-incident", "--set", "dry_run=hunter2"], "dry_run: Input should be a valid boolean"),
        (["p1-incident", "--set", "title"], "--set: expected field=value"),
        (["p1-incident", "--set", "title=x", "--set", "title.y=z"], "--set: title is not an object"),
        (["p1-incident", "--set", "service=tensafe"], "Known services: tensafe-server"),
        (["p1-incident", "--set", "alert.name=x"], "alert.source: Field required"),
        (["p1-incident", "--set", 'title=["hunter2"]'], "title: Input should be a valid string"),
        (["emergency-scale-up", "--set", "lease=soon"], "lease: a duration is expected, such as 10m, 1h30m, 90s"),
        (["point-in-time-restore", "--set", "target_time=hunter2"], "target_time: a time is expected, such as"),
        (["p1-incident"], "nobody can be asked here: --yes starts it"),
        (["add-gpu-node", "--yes"], "add-gpu-node can't run for tensafe-server: add [services.tensafe-server.gpu]"),
    ],
)
def test_wrong_input_is_told_by_its_field_and_starts_nothing(
    runbooks: Runbooks, arguments: list[str], says: str
) -> None:
    # Temporal isn't even there: the input is refused before anybody connects.
    result = runbooks("start", *arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert "hunter2" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [["start", "p1-incident", "--yes"], ["status", "x"], ["close", "x", "--resolution", "r", "--root-cause", "c"]],
)
def test_without_temporal_a_sentence_says_what_to_do(runbooks: Runbooks, arguments: list[str]) -> None:
    result = runbooks(*arguments)
    assert result.exit_code == 3
    wanted = f"Temporal at {NOBODY} does not answer: is it running? `make sandbox` starts one"
    assert result.stderr.strip() == wanted


def test_wrong_settings_are_told(runbooks: Runbooks, config: Path) -> None:
    config.write_text("[temporal]\nadress = 'x'\n")
    result = runbooks("catalogue")
    assert result.exit_code == 2
    assert "temporal.adress: there is no such field" in result.stderr


def test_the_catalogue_says_what_is_needed_to_start(runbooks: Runbooks) -> None:
    listed = json.loads(runbooks("catalogue", "--format", "json").stdout)
    keys = ["section", "procedure", "workflow_type", "task_queue", "title", "example_input", "schema", "start_url"]
    assert all(list(item) == keys for item in listed)
    incident = next(item for item in listed if item["workflow_type"] == "P1Incident")
    assert (incident["section"], incident["procedure"], incident["task_queue"]) == ("2.2", "p1_incident", "runbooks")
    assert incident["example_input"].keys() <= incident["schema"]["properties"].keys()
    link = urlsplit(incident["start_url"])
    assert link.path == "/namespaces/default/workflows/start-workflow"
    query = parse_qs(link.query)
    assert (query["workflowType"], query["taskQueue"]) == (["P1Incident"], ["runbooks"])
    assert query["workflowId"][0].startswith("p1-incident/")
    table = runbooks("catalogue").stdout
    assert "p1-incident" in table
    assert "P1 incident response" in table


def test_routes_are_checked_as_the_webhook_does(runbooks: Runbooks, config: Path) -> None:
    fine = runbooks("routes", "check", "severity=P1", "service=tensafe-server")
    assert fine.exit_code == 0, fine.output
    assert "rule 0 takes it: p1-incident for tensafe-server" in fine.stdout
    assert runbooks("routes", "check", "severity=P3").exit_code == 1
    assert "not known. Known: tensafe-server" in runbooks("routes", "check", "severity=P1", "service=x").stderr
    assert runbooks("routes", "check", "severity").exit_code == 2
    (config.parent / "routes.toml").write_text('[[route]]\nmatch = {a = "b"}\nprocedure = "p9"\n')
    wrong = runbooks("routes", "check")
    assert (wrong.exit_code, "route.0.procedure: no procedure 'p9'" in wrong.stderr) == (2, True)


def test_keys_are_made_once_and_for_their_owner_only(runbooks: Runbooks, tmp_path: Path) -> None:
    file = tmp_path / "gateway.pem"
    made = runbooks("keys", "generate", "--private", str(file))
    assert made.exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = load_pem_private_key(file.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    public = base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()
    assert made.stdout.strip() == public
    assert "PRIVATE" not in made.output
    before = file.read_bytes()
    again = runbooks("keys", "generate", "--private", str(file))
    assert (again.exit_code, "File exists" in again.stderr) == (2, True)
    assert file.read_bytes() == before


def test_help_lists_commands_and_exit_codes(runbooks: Runbooks) -> None:
    result = runbooks("--help")
    for name in ("start", "status", "approve", "note", "close", "cancel", "catalogue", "routes", "keys", "sandbox"):
        assert f" {name} " in result.stdout
    assert "3 Temporal, the run's workers or the records don't answer" in " ".join(result.stdout.split())


def installed(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("runbooks")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=240, cwd=cwd, check=False)


def test_as_installed_it_exits_with_its_code_and_no_traceback(config: Path, tmp_path: Path) -> None:
    refused = installed("start", "p1-incident", "--set", "dry_run=perhaps", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("dry_run: ")
    away = installed("status", "x", cwd=tmp_path)
    assert (away.returncode, "Traceback" in away.stderr) == (3, False)
    assert len(away.stderr.strip().splitlines()) == 1
    unknown = installed("strat", cwd=tmp_path)
    assert (unknown.returncode, "Traceback" in unknown.stderr) == (2, False)
    none = installed("sandbox", "status", cwd=tmp_path)
    assert (none.returncode, none.stdout.strip()) == (3, "no sandbox runs here: `make sandbox` starts one")
