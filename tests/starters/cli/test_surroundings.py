"""What the command line finds around it: settings, a sandbox that runs, secrets, switches, its own build."""

import fcntl
import json
import os
import pty
import select
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner, Result

from sandbox.supervisor import State
from starters.__main__ import application, switched
from starters.cli import build, configured
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World
from workers import settings as settings_module
from workers.sections import UnreadableSecret

ROOT = Path(__file__).parents[3]


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing is configured, and no checkout's sandbox is found."""
    for name in [name for name in os.environ if name.startswith(("RUNBOOKS_", "TEMPORAL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(configured, "_OURS", tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-cluster"))
    monkeypatch.chdir(tmp_path)
    # What a command finds it sets, for those that it calls; a test leaves nothing behind.
    for name in ("RUNBOOKS_CONFIG", "RUNBOOKS_GATEWAY__PRIVATE_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(application(arguments), list(arguments))


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


def test_services_say_what_is_ready_and_what_is_missing(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_CONFIG", str(settings_file(empty, "127.0.0.1:1", "runbooks", World())))
    (found,) = json.loads(run("services", "--json").stdout)
    assert found["procedures"]["p1-incident"] == "ready"
    assert found["procedures"]["add-gpu-node"] == "add [services.tensafe-server.gpu] to the settings"
    table = run("services").stdout
    assert "add-gpu-node" in table
    assert "add [services.tensafe-server.gpu]" in table
    assert run("services", "elsewhere").exit_code == 2


class _Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"status": "ok", "version": "v1"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_doctor_looks_at_each_thing_by_itself(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Healthy) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{served.server_address[1]}/health"
        world = World()
        world.service = world.service.model_copy(update={"health_url": url})
        file = settings_file(
            empty,
            "127.0.0.1:1",
            "runbooks",
            world,
            kubernetes={"kubeconfig": "nowhere.yaml"},
            prometheus={"url": "http://127.0.0.1:1"},
        )
        monkeypatch.setenv("RUNBOOKS_CONFIG", str(file))
        result = run("doctor", "tensafe-server", "--json")
        table = run("doctor", "tensafe-server")
        served.shutdown()
    assert result.exit_code == 1
    found = {one["what"]: (one["fine"], one["seen"]) for one in json.loads(result.stdout)}
    assert found["health"][0] is True
    assert found["alert route"] == (True, "severity=P1 service=tensafe-server starts p1-incident")
    assert (found["Kubernetes"][0], found["Prometheus"][0]) == (False, False)
    assert "no access to Kubernetes" in found["Kubernetes"][1]
    assert found["Prometheus"][1] == "http://127.0.0.1:1 does not answer (`[prometheus] url`)"
    assert "found wrong" in table.stderr
    assert "✓" in table.stdout
    assert "✗" in table.stdout
    assert run("doctor", "elsewhere").exit_code == 2


def test_a_file_of_settings_is_begun_once_and_can_be_used(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = ("config", "init", "api", "--health-url", "http://api.default:8080/health", "--namespace", "shop")
    begun = run(*begin)
    assert begun.exit_code == 0, begun.output
    assert run("config", "check", "--files-only").exit_code == 0
    assert "p1-incident for api" in run("routes", "check", "severity=P1", "service=api").stdout
    (service,) = json.loads(run("services", "--json").stdout)
    assert service["service"] == "api"
    text = (empty / "runbooks.toml").read_text(encoding="utf-8")
    assert '# address = "127.0.0.1:7233"' in text
    again = run(*begin)
    assert (again.exit_code, "nothing was written" in again.stderr) == (2, True)
    assert (empty / "runbooks.toml").read_text(encoding="utf-8") == text
    assert json.loads(run("config", "schema").stdout)["title"] == "runbooks.toml"
    assert run("config", "reference").stdout.count("\n# [") > 30


def test_switches_may_stand_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("RUNBOOKS_QUIET", "NO_COLOR"):
        monkeypatch.setenv(variable, "")
    assert switched(["list", "--quiet", "--json", "--no-color"]) == ["list", "--json"]
    assert (os.environ["RUNBOOKS_QUIET"], os.environ["NO_COLOR"]) == ("1", "1")
    assert switched(["note", "x", "--", "--quiet"]) == ["note", "x", "--", "--quiet"]


def test_the_version_names_commit_and_build() -> None:
    told = run("--version")
    assert told.exit_code == 0
    assert told.stdout.strip() == build.version()
    assert build.build_id() in told.stdout
    assert len(build.build_id()) == 12


_PRESSED = """
import sys

class Pressed:
    def find_spec(self, name, path=None, target=None):
        if name == {at!r}:
            raise KeyboardInterrupt
        return None

sys.meta_path.insert(0, Pressed())
sys.argv = ["runbooks", "services"]
from starters.begin import main
main()
"""


@pytest.mark.parametrize("at", ["starters.__main__", "typer", "starters.cli.commands.services", "starters.cli.fitting"])
def test_ctrl_c_in_the_first_moment_is_one_line(at: str, tmp_path: Path) -> None:
    """Wherever the program is just then."""
    done = subprocess.run(
        [sys.executable, "-c", _PRESSED.format(at=at)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines() == ["interrupted; runs that have been started go on"]


_PRESSED_IN_TYPER = """
import sys, typer.core
def pressed(*_, **__):
    raise KeyboardInterrupt
typer.core.TyperGroup.make_context = pressed
sys.argv = ["runbooks", "services"]
from starters.begin import main
main()
"""


def test_ctrl_c_in_typer_itself_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PRESSED_IN_TYPER],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines() == ["interrupted; runs that have been started go on"]


_ASKING = """
import asyncio
from starters.cli.people import command, confirmed

@command
async def ask():
    print("agreed" if confirmed("Go on?") else "left as it is")

ask()
"""


@pytest.mark.parametrize(("typed", "said"), [("\x03", "left as it is"), ("\x04", "left as it is"), ("y\n", "agreed")])
def test_a_question_hears_ctrl_c_at_once(typed: str, said: str) -> None:
    """On a terminal, in the middle of what asyncio runs, whose own handler would wait for the answer."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _ASKING],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  so that ^C is a signal
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        os.close(theirs)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, typed.encode())
        with suppress(OSError):  # which is how a terminal ends
            while True:
                # In the instant between question and reading Python hears no signal; a person presses again.
                while typed == "\x03" and not select.select([ours], [], [], 2)[0]:
                    os.write(ours, typed.encode())
                if not (part := os.read(ours, 1024)):
                    break
                shown += part
        assert process.wait(240) == 0
    os.close(ours)
    # What is typed before it is read is shown before the space that ends the question.
    assert shown.decode().splitlines()[-1].strip() == said
