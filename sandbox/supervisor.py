"""The process that owns a running sandbox: starts it, restarts what may be restarted, says how it is, ends it.

Its state is a file, `state.json`, rewritten whole at each change, so that `up`, `down` and `status` need no other
way to talk to it than reading that file and sending it SIGTERM.
"""

import json
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal

import psutil
from pydantic import BaseModel, Field, ValidationError

from sandbox.assembly import Environment, TemporalKind, Told
from sandbox.processes import ServerFailed, ServerProcess
from sandbox.toolchain.errors import ToolchainError

_LOOK_SECONDS = 0.2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_LIVED_LONG_SECONDS = 30.0
_SAME_START_SECONDS = 2.0
FIRST_BACKUP = "Barman's first backup"


class ProcessState(BaseModel):
    """One process of the sandbox."""

    name: str
    pid: int | None
    restarts: int = 0
    log: Path


class State(BaseModel):
    """What `state.json` says."""

    status: Literal["starting", "ready", "failed", "stopped"]
    pid: int
    created: float = Field(description="When the supervisor's process began, to tell it from a later one of its pid.")
    message: str = ""
    ready: list[str] = Field(default_factory=list, description="What has become ready, in order.")
    links: dict[str, str] = Field(default_factory=dict)
    config: Path | None = None
    gateway_key: Path | None = None
    kubeconfig: Path | None = None
    temporal_address: str | None = None
    processes: list[ProcessState] = Field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether the supervisor still runs."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.created) < _SAME_START_SECONDS
        except psutil.NoSuchProcess:
            return False


def state_file(directory: Path) -> Path:
    """Name a sandbox's state file."""
    return directory / "state.json"


def read_state(directory: Path) -> State | None:
    """Read a sandbox's state; None where there never was one."""
    try:
        return State.model_validate_json(state_file(directory).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValidationError):
        return None


def describe(environment: Environment, status: Literal["starting", "ready"]) -> State:
    """Say of an environment that this process owns how it is and where everything is."""
    return State(
        status=status,
        pid=os.getpid(),
        created=psutil.Process().create_time(),
        links=environment.links,
        config=environment.configuration.file,
        gateway_key=environment.configuration.gateway_key,
        kubeconfig=environment.cluster.kubeconfig,
        temporal_address=environment.temporal.address,
    )


@dataclass
class _Patience:
    """When a process that keeps dying is started again: later each time, soon again once it has lived a while."""

    pause: float = _FIRST_PAUSE
    due: float = 0.0
    restarts: int = 0
    started: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs one environment until it is told to stop."""

    def __init__(
        self,
        directory: Path,
        *,
        workers: int = 2,
        temporal: TemporalKind = "development",
        told: Told = lambda _: None,
    ) -> None:
        self._directory = directory.resolve()
        self._environment = Environment(self._directory, workers=workers, temporal=temporal)
        self._told = told
        self._stop = threading.Event()
        self._publishing = threading.Lock()
        self._ready: list[str] = []
        self._patience: dict[str, _Patience] = {}
        self._reported: set[str] = set()
        self._state = describe(self._environment, "starting")

    def run(self) -> int:
        """Start, watch and stop; gives the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._told_to_stop)
        self._publish()
        try:
            self._environment.start(self._became_ready)
        except (ServerFailed, ToolchainError, TimeoutError, OSError) as error:
            self._publish(status="failed", message=str(error) or type(error).__name__)
            return 1
        self._publish(status="ready")
        while not self._stop.wait(_LOOK_SECONDS):
            self._look()
        self._environment.stop()
        self._publish(status="stopped")
        return 0

    def _told_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._state.status == "starting":
            raise KeyboardInterrupt  # `Environment.start` stops what it has started
        self._stop.set()

    def _became_ready(self, what: str) -> None:
        self._told(what)
        self._ready.append(what)
        self._publish(ready=list(self._ready))

    def _look(self) -> None:
        if FIRST_BACKUP not in self._ready and self._environment.service_database.backed_up:
            self._became_ready(FIRST_BACKUP)
        for process in self._environment.restartable:
            self._keep_alive(process)
        for process in self._environment.processes:
            gone = process.exit_code is not None and process not in self._environment.restartable
            if gone and process.name not in self._reported:
                self._reported.add(process.name)
                message = f"{process.name} ended with exit code {process.exit_code}; its log is {process.log}"
                self._told(message)
                self._publish(message=message)

    def _keep_alive(self, process: ServerProcess) -> None:
        if process.exit_code is None:
            return
        patience = self._patience.setdefault(process.name, _Patience())
        now = time.monotonic()
        if not patience.due:
            lived = now - patience.started
            patience.pause = _FIRST_PAUSE if lived > _LIVED_LONG_SECONDS else min(patience.pause * 2, _LONGEST_PAUSE)
            patience.due = now + (patience.pause if patience.restarts else 0.0)
        if now >= patience.due:
            self._told(f"{process.name} ended with exit code {process.exit_code}: starting it again")
            process.start()
            patience.restarts, patience.started, patience.due = patience.restarts + 1, now, 0.0
            self._publish()

    def _publish(self, **changes: object) -> None:
        # The parts become ready in threads of their own.
        with self._publishing:
            processes = [
                ProcessState(
                    name=process.name,
                    pid=process.pid,
                    log=process.log,
                    restarts=self._patience[process.name].restarts if process.name in self._patience else 0,
                )
                for process in self._environment.processes
            ]
            self._state = self._state.model_copy(update={**changes, "processes": processes})
            file = state_file(self._directory)
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary = file.with_suffix(".new")
            temporary.write_text(json.dumps(self._state.model_dump(mode="json"), indent=2), encoding="utf-8")
            temporary.replace(file)
