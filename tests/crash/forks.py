"""Processes that begin as copies of one that has imported everything.

A worker's imports take seconds, and each kill needs two workers and a service. So a server of ours (`python -m
tests.crash.forks SOCKET`) imports all of it once and then does nothing but fork: it has no thread, no connection and no
event loop, so nothing is copied in the middle of something. A copy is a process like any other: it leads a session of
its own, writes its own log, opens its own connections, and is killed by its process ID. It dies with the server, which
dies with the harness.

A connection to the server is a process: it asks for one, and is closed when that one ends, however it ends.
"""

import asyncio
import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import psutil

from activities.common.children import die_with_parent
from sandbox.aws import ENVIRONMENT
from sandbox.processes import ServerProcess

_STOP_SECONDS = 10.0
_GONE_SECONDS = 0.001


class Fork:
    """One process; use `ended` or `wait` to learn of its end."""

    def __init__(self, connection: socket.socket, pid: int) -> None:
        self._connection = connection
        self.pid = pid

    @property
    def alive(self) -> bool:
        return not self._over(0)

    async def ended(self) -> None:
        """Wait for its end."""
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._connection, end.set)
        try:
            await end.wait()
        finally:
            loop.remove_reader(self._connection)

    def kill(self) -> None:
        """Kill it as a crash does, and wait until it is gone."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
        self._over(None)
        while psutil.pid_exists(self.pid):  # its connections are closed a moment before it is gone
            time.sleep(_GONE_SECONDS)
        self._connection.close()

    def stop(self) -> None:
        """Ask it to end, and kill it when it does not in time."""
        if self.alive:
            os.kill(self.pid, signal.SIGTERM)
            self._over(_STOP_SECONDS)
        self.kill()

    def _over(self, timeout: float | None) -> bool:
        if self._connection.fileno() < 0:  # it was killed before
            return True
        self._connection.settimeout(timeout)
        try:
            return self._connection.recv(1, socket.MSG_PEEK) == b""
        except ConnectionError:
            return True
        except (BlockingIOError, TimeoutError):
            return False


class Forks:
    """The server."""

    def __init__(self, directory: Path) -> None:
        # Not in the directory: the name of a socket may have a hundred characters.
        self._folder = Path(tempfile.mkdtemp(prefix="forks-"))
        self._socket = self._folder / "socket"
        self._process = ServerProcess(
            name="forks",
            directory=directory,
            argv=[sys.executable, "-m", __name__, self._socket],
            # The AWS client reads its credentials when it is first made. A library that starts threads when it is
            # imported would leave none of them to the copies.
            env={**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1"},
        )

    def start(self) -> None:
        self._process.start()

    def wait_ready(self, timeout: float = 180.0) -> None:
        self._process.wait_ready(self._socket.exists, timeout)

    def stop(self) -> None:
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def python(self, module: str, *arguments: object, log: Path) -> Fork:
        """Do what `python -m MODULE ARGUMENTS` would, with our environment: the module's `main`."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._socket))
        asked = {"module": module, "arguments": [str(a) for a in arguments], "log": str(log), "env": dict(os.environ)}
        connection.sendall(json.dumps(asked).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            more = connection.recv(32)
            if not more:
                raise ChildProcessError(f"{module} could not be forked: see {self._process.log}")
            answer += more
        return Fork(connection, int(answer))


def main() -> NoReturn:
    (path,) = sys.argv[1:]
    gc.disable()
    importlib.import_module("tests.crash.warm").warm()  # not at the top: who asks for processes needs nothing of it
    # A copy that looked through all of that for garbage would write to it, and so make a copy of each page.
    gc.collect()
    gc.freeze()
    gc.enable()
    tasks = Path("/proc/self/task")
    assert not tasks.exists() or len(list(tasks.iterdir())) == 1, "something that was imported has started a thread"
    in_child = die_with_parent()
    signal.signal(signal.SIGCHLD, _reap)
    with socket.socket(socket.AF_UNIX) as listener:
        being_made = f"{path}.new"
        listener.bind(being_made)
        listener.listen(128)
        Path(being_made).rename(path)  # it exists when it listens
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                if in_child is not None:
                    in_child()
                _become(connection)
            connection.close()


def _reap(*_: object) -> None:
    """Leave no zombies; whoever asked for a process sees its end by its connection."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _become(connection: socket.socket) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        with connection.makefile("rb") as lines:
            asked = json.loads(lines.readline())
        log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for output in (1, 2):
            os.dup2(log, output)
        os.close(log)
        os.environ.clear()
        os.environ.update(asked["env"])
        connection.sendall(f"{os.getpid()}\n".encode())
        code = _run(asked["module"], asked["arguments"])
    except BaseException:  # noqa: BLE001  this process is nobody's caller
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(module: str, arguments: Sequence[str]) -> int:
    sys.argv = [module, *arguments]
    try:
        importlib.import_module(module).main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


if __name__ == "__main__":
    main()
