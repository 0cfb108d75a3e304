"""Servers as child processes that cannot outlive us.

On Linux the kernel kills a child when the thread that started it dies (PR_SET_PDEATHSIG), so even a kill -9 of the
sandbox leaves nothing behind. Because it is the *thread's* death that counts, every child is started by one thread
that lives as long as this process. Elsewhere, and as a second net, a file beside the log names the child (pid and
start time), and whoever starts the same server next ends what is left of the last one.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from activities.common.children import tied
from sandbox.log_files import tail
from sandbox.ports import LOOPBACK
from sandbox.probes import Probe

_FOREIGN = ("RUNBOOKS_", "TEMPORAL_", "KUBE", "PG", "AWS_")
_SAME_START_SECONDS = 2.0
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class ServerFailed(Exception):  # noqa: N818 - reads as the sentence it is
    """A server ended by itself or did not become ready; the message carries the end of its log."""


def _environment() -> dict[str, str]:
    """Give our environment without what would lead a part of the sandbox to somebody's real servers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, (kept.get(name), LOOPBACK, "localhost")))
    return kept


@dataclass
class ServerProcess:
    """One server: started, watched, stopped, and found again by the next start if we were killed.

    `directory` holds `<name>.log` and `<name>.pid.json`.
    """

    name: str
    directory: Path
    argv: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    uid: int | None = None
    gid: int | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout: float = 10.0
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)
    _asked: bool = field(default=False, init=False, repr=False)

    @property
    def log(self) -> Path:
        """Where its output goes; kept over restarts."""
        return self.directory / f"{self.name}.log"

    @property
    def _record(self) -> Path:
        return self.directory / f"{self.name}.pid.json"

    @property
    def pid(self) -> int | None:
        """Its process ID, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def exit_code(self) -> int | None:
        """How it ended, or None while it runs or before its start."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        """Start it and return at once; ends what a killed run has left of it first.

        Raises:
            ServerFailed: it is running already, or its program cannot be executed.

        """
        if self.pid is not None:
            raise ServerFailed(f"{self.name} is running already (pid {self.pid})")
        self.directory.mkdir(parents=True, exist_ok=True)
        end_leftover(self._record)
        try:
            self._process = _SPAWNER.submit(self._spawn).result()
        except OSError as error:
            raise ServerFailed(f"{self.name}: cannot run {self.argv[0]}: {error.strerror}") from error
        self._asked = False
        self._remember()

    def _spawn(self) -> subprocess.Popen[bytes]:
        environment = {**_environment(), **self.env}
        bound = tied([str(part) for part in self.argv], environment=environment, user=self.uid, group=self.gid)
        with self.log.open("ab") as output:
            return subprocess.Popen(
                bound.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self.cwd,
                # Its own session: Ctrl-C in a terminal reaches us alone, and we stop servers in order.
                start_new_session=True,
                **bound.how,
            )

    def _remember(self) -> None:
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):  # gone already: `wait_ready` will say why
            started = psutil.Process(self._process.pid).create_time()
            record = {"pid": self._process.pid, "created": started, "program": Path(self.argv[0]).name}
            self._record.write_text(json.dumps(record), encoding="utf-8")

    def wait_ready(self, probe: Probe, timeout: float = 240.0) -> None:
        """Wait until the probe says yes.

        Raises:
            ServerFailed: the server ended, or time was up.

        """
        deadline = time.monotonic() + timeout
        pause = 0.01
        while not probe():
            if self.exit_code is not None:
                raise ServerFailed(f"{self.name} ended with exit code {self.exit_code}. {self._log_end()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready in {timeout:g} s. {self._log_end()}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    def _log_end(self) -> str:
        return f"Its log ({self.log}) ends:\n{tail(self.log)}"

    def ask_to_stop(self) -> None:
        """Send the stop signal and return at once, so that several may end side by side; `stop` waits."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
            self._asked = True

    def stop(self) -> None:
        """Ask it to end, unless it has been asked, and kill it when it does not in time."""
        if self._process is None:
            return
        if self._process.poll() is None:
            if not self._asked:
                self.ask_to_stop()
            try:
                self._process.wait(self.stop_timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._record.unlink(missing_ok=True)

    def kill(self) -> None:
        """End it at once, as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._record.unlink(missing_ok=True)


def end_leftover(record: Path) -> None:
    """End the process that a pid file names, if it is still the one the file means; removes the file."""
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        process = psutil.Process(known["pid"])
        same = abs(process.create_time() - known["created"]) < _SAME_START_SECONDS
        if same and known["program"] in process.name() + " ".join(process.cmdline()[:2]):
            process.kill()
            process.wait(10)
    except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
        pass  # nothing recorded, a half-written record, or gone already
    record.unlink(missing_ok=True)


def end_leftovers(directory: Path) -> None:
    """End everything that a killed run has left in a directory and below."""
    for record in sorted(directory.rglob("*.pid.json")):
        end_leftover(record)
