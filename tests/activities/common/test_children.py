"""A child process ends with the thread that started it, by whichever of the two ways it is started."""

import os
import pwd
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from activities.common import children
from activities.common.children import Tied, tied
from sandbox.probes import wait_until

SLEEP = ["sleep", "600"]
MISSING = "setpriv of util-linux is missing: install it (Debian: apt-get install util-linux; Alpine: apk add setpriv)"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")


@pytest.fixture(params=["by setpriv", "by ourselves"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both ways; in use, a machine without util-linux only has the second."""
    children._setpriv.cache_clear()
    if request.param == "by ourselves":
        monkeypatch.setattr(children, "_setpriv", lambda: None)
    else:
        assert children._setpriv(), MISSING
    yield request.param
    monkeypatch.undo()
    children._setpriv.cache_clear()


def _start(bound: Tied) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(bound.argv, **bound.how)


def _begun(pid: int) -> None:
    wait_until(lambda: psutil.Process(pid).name() == SLEEP[0])


def _ended(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _left_by_a_thread(bound: Tied) -> "subprocess.Popen[bytes]":
    started: list[subprocess.Popen[bytes]] = []

    def work() -> None:
        started.append(_start(bound))
        _begun(started[0].pid)
        assert started[0].poll() is None

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return started[0]


def test_nothing_of_ours_runs_in_the_child_where_setpriv_does_it(way: str) -> None:
    assert ("preexec_fn" in tied(SLEEP).how) == (way == "by ourselves")


def test_it_is_the_program_itself(way: str) -> None:
    bound = tied([sys.executable, "-c", "import os; print(os.getpid(), os.getppid(), os.environ['X'])"])
    with subprocess.Popen(bound.argv, stdout=subprocess.PIPE, text=True, env={"X": "a b"}, **bound.how) as child:
        assert child.communicate()[0].split() == [str(child.pid), str(os.getpid()), "a", "b"]


@pytest.mark.parametrize("argument", ["", "a b", "$HOME", "--", "-x", "'", "\n", "é"])
def test_arguments_arrive_as_they_are(way: str, argument: str) -> None:
    bound = tied([sys.executable, "-c", "import sys; sys.stdout.buffer.write(repr(sys.argv[1:]).encode())", argument])
    assert subprocess.run(bound.argv, capture_output=True, check=True, **bound.how).stdout.decode() == repr([argument])


def test_how_it_ended_is_told(way: str) -> None:
    assert _start(tied(["sh", "-c", "exit 7"])).wait() == 7
    child = _start(tied(SLEEP))
    child.send_signal(signal.SIGTERM)
    assert child.wait() == -signal.SIGTERM


@pytest.mark.parametrize("program", ["/no/such/program", "no-such-program", "/etc/passwd"])
def test_what_cannot_be_started_is_refused_at_once(way: str, program: str) -> None:
    with pytest.raises(OSError, match=program) as refused:
        _start(tied([program]))
    assert refused.value.filename == program


def test_the_path_of_its_own_environment_counts(way: str, tmp_path: Path) -> None:
    program = tmp_path / "only-there"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/bin"}
    bound = tied([program.name], environment=environment)
    assert subprocess.run(bound.argv, env=environment, check=False, **bound.how).returncode == 3


def test_it_ends_with_the_thread_that_started_it(way: str) -> None:
    assert _left_by_a_thread(tied(SLEEP)).wait() == -signal.SIGKILL


def test_kill_9_of_the_parent_ends_it(way: str) -> None:
    program = textwrap.dedent(f"""
        import subprocess, time
        from activities.common import children
        if {way!r} == "by ourselves":
            children._setpriv = lambda: None
        bound = children.tied({SLEEP!r})
        print(subprocess.Popen(bound.argv, **bound.how).pid, flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        _begun(child)
        parent.kill()
    wait_until(lambda: _ended(child))


def test_where_the_parent_is_gone_already_it_does_not_begin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children._setpriv.cache_clear()
    assert children._setpriv(), MISSING
    monkeypatch.setattr(os, "getpid", lambda: 2**22 + 1)  # as if somebody else had started it
    bound = tied(["touch", str(tmp_path / "begun")])
    monkeypatch.undo()
    assert _start(bound).wait() == 1
    assert not (tmp_path / "begun").exists()


def test_as_somebody_else_it_ends_as_well(way: str) -> None:
    account = pwd.getpwnam("nobody")
    if os.geteuid() != 0:  # only root may be somebody else; for anybody else it does not begin, and not as themselves
        refused = tied(["id"], user=account.pw_uid, group=account.pw_gid)
        with pytest.raises((PermissionError, subprocess.CalledProcessError)):
            subprocess.run(refused.argv, capture_output=True, check=True, **refused.how)
        return
    assert _left_by_a_thread(tied(SLEEP, user=account.pw_uid, group=account.pw_gid)).wait() == -signal.SIGKILL
    bound = tied(["id"], user=account.pw_uid, group=account.pw_gid)
    said = subprocess.run(bound.argv, capture_output=True, text=True, check=True, **bound.how).stdout
    assert said.split() == [
        f"uid={account.pw_uid}(nobody)",
        f"gid={account.pw_gid}(nogroup)",
        f"groups={account.pw_gid}(nogroup)",
    ]


@pytest.mark.parametrize("can", ["nothing", "not this", "it"])
def test_a_setpriv_that_cannot_do_it_is_left_alone(
    can: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """BusyBox has one that knows no `--pdeathsig`."""
    request.addfinalizer(children._setpriv.cache_clear)
    children._setpriv.cache_clear()
    if can != "nothing":
        program = tmp_path / "setpriv"
        program.write_text(f"#!/bin/sh\nexit {0 if can == 'it' else 1}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert children._setpriv() == (str(tmp_path / "setpriv") if can == "it" else None)
