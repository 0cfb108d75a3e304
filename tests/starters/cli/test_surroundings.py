"""What the command line finds around it: settings, a sandbox that runs, secrets, switches, its own build."""

import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from starters.__main__ import switched
from tests.starters.cli.typed import ROOT, run
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World


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
