"""Servers as child processes: what starts also ends, however its parent ends."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from sandbox import probes
from sandbox.ports import free_port
from sandbox.processes import ServerFailed, ServerProcess, end_leftovers

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]


def _ready(process: ServerProcess) -> None:
    process.wait_ready(probes.log_line(process.log, "up"), 10)


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_starts_and_stops(tmp_path: Path) -> None:
    process = ServerProcess("sleeper", tmp_path, SLEEP)
    process.start()
    _ready(process)
    pid = process.pid
    assert pid is not None
    process.stop()
    assert process.exit_code == -signal.SIGTERM
    assert not _alive(pid)
    assert list(tmp_path.glob("*.pid.json")) == []


def test_kills_what_does_not_stop_in_time(tmp_path: Path) -> None:
    process = ServerProcess("deaf", tmp_path, DEAF, stop_timeout=0.3)
    process.start()
    _ready(process)
    process.stop()
    assert process.exit_code == -signal.SIGKILL


def test_early_end_shows_the_log(tmp_path: Path) -> None:
    process = ServerProcess("broken", tmp_path, [sys.executable, "-c", "import sys; sys.exit('no such port')"])
    process.start()
    with pytest.raises(ServerFailed, match=r"broken ended with exit code 1[\s\S]*no such port"):
        process.wait_ready(lambda: False, 10)


def test_not_ready_in_time_shows_the_log(tmp_path: Path) -> None:
    process = ServerProcess("slow", tmp_path, SLEEP)
    process.start()
    try:
        _ready(process)
        with pytest.raises(ServerFailed, match=r"slow was not ready in 0\.2 s[\s\S]*up"):
            process.wait_ready(lambda: False, 0.2)
    finally:
        process.stop()


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="cannot run /no/such/program"):
        ServerProcess("absent", tmp_path, ["/no/such/program"]).start()


def test_children_do_not_see_settings_of_real_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOKS_RECORDS__URL", "postgresql://production")
    monkeypatch.setenv("KUBECONFIG", "/production")
    process = ServerProcess(
        "environment",
        tmp_path,
        [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"],
        env={"RUNBOOKS_CONFIG": "ours"},
    )
    process.start()
    probes.wait_until(lambda: process.exit_code is not None)
    seen = json.loads(process.log.read_text())
    assert seen["RUNBOOKS_CONFIG"] == "ours"
    assert not {"RUNBOOKS_RECORDS__URL", "KUBECONFIG"} & seen.keys()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_kill_9_of_the_parent_leaves_nothing(tmp_path: Path) -> None:
    # Started from a thread that has ended by then: the thread's death must not count, the process' must.
    program = textwrap.dedent(f"""
        import threading, time
        from pathlib import Path
        from sandbox.processes import ServerProcess
        server = ServerProcess("orphan", Path({str(tmp_path)!r}), {DEAF!r})
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        time.sleep(0.5)
        print(server.pid, flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert _alive(child)
    parent.kill()
    parent.wait()
    probes.wait_until(lambda: not _alive(child))


def test_the_next_start_ends_what_is_left(tmp_path: Path) -> None:
    left = subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL)
    record = {
        "pid": left.pid,
        "created": psutil.Process(left.pid).create_time(),
        "program": Path(sys.executable).name,
    }
    (tmp_path / "sleeper.pid.json").write_text(json.dumps(record))
    process = ServerProcess("sleeper", tmp_path, SLEEP)
    process.start()
    assert not _alive(left.pid)
    process.stop()


def test_a_stranger_with_a_leftovers_pid_lives(tmp_path: Path) -> None:
    stranger = subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL)
    record = {"pid": stranger.pid, "created": 1_000.0, "program": Path(sys.executable).name}
    (tmp_path / "sleeper.pid.json").write_text(json.dumps(record))
    end_leftovers(tmp_path)
    assert stranger.poll() is None
    assert list(tmp_path.glob("*.pid.json")) == []
    stranger.kill()
    stranger.wait()


def test_ports_are_given_once() -> None:
    program = "from sandbox.ports import free_port; print(*[free_port() for _ in range(300)]); input()"
    others = [
        subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    given = [free_port() for _ in range(300)]
    for other in others:
        assert other.stdout is not None
        given += [int(port) for port in other.stdout.readline().split()]
    for other in others:
        other.communicate("\n")
    assert len(given) == 900
    assert len(set(given)) == 900
