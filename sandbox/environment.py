"""Starts, stops and shows a detached sandbox: what `python -m sandbox` and `runbooks sandbox` call."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from sandbox import binaries
from sandbox.assembly import TemporalKind
from sandbox.log_files import tail
from sandbox.processes import ServerFailed, end_leftovers
from sandbox.supervisor import State, Supervisor, read_state

DIRECTORY = Path("var/sandbox")
DEMO = Path("var/demo")
_LOOK_SECONDS = 0.1
_START_SECONDS = 180.0
_STOP_SECONDS = 45.0
_LOG = "supervisor.log"


def up(
    directory: Path = DIRECTORY,
    *,
    workers: int = 2,
    temporal: TemporalKind = "development",
    foreground: bool = False,
    told: Callable[[str], None] = lambda _: None,
) -> State:
    """Start a sandbox and wait until all of it is ready; one that runs already is left as it is.

    `foreground` owns the servers in this process and returns only when it is told to stop. `told` hears each part
    become ready.

    Raises:
        ServerFailed: a part did not start.
        ToolchainError: a program cannot be had.

    """
    running = read_state(directory)
    if running is not None and running.alive and running.status == "ready":
        return running
    server = binaries.TEMPORAL_ON_POSTGRES if temporal == "postgresql" else ()
    # Here rather than in the supervisor, so that a long build shows its progress.
    binaries.ensure((*binaries.EVERYTHING, *server), told)
    if foreground:
        Supervisor(directory, workers=workers, temporal=temporal, told=told).run()
        return _known(directory)
    directory.mkdir(parents=True, exist_ok=True)
    options = ("--dir", str(directory), "--workers", str(workers), "--temporal", temporal)
    with (directory / _LOG).open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "supervise", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _wait_ready(directory, supervisor, told)
    except BaseException:
        supervisor.terminate()
        raise


def down(directory: Path = DIRECTORY) -> bool:
    """Stop a sandbox, and whatever a killed one has left; says whether any was running."""
    state = read_state(directory)
    running = state is not None and state.alive
    if running:
        assert state is not None
        supervisor = psutil.Process(state.pid)
        supervisor.terminate()
        try:
            supervisor.wait(_STOP_SECONDS)
        except psutil.TimeoutExpired:
            supervisor.kill()
            supervisor.wait(_STOP_SECONDS)
    end_leftovers(directory)
    return running


def status(directory: Path = DIRECTORY) -> State | None:
    """Give a sandbox's state, with `stopped` for one whose supervisor is gone; None where there never was one."""
    state = read_state(directory)
    if state is not None and not state.alive and state.status != "failed":
        return state.model_copy(update={"status": "stopped", "processes": []})
    return state


def _wait_ready(directory: Path, supervisor: "subprocess.Popen[bytes]", told: Callable[[str], None]) -> State:
    heard = 0
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        ended = supervisor.poll() is not None
        state = read_state(directory)
        if state is not None and state.pid == supervisor.pid:
            for what in state.ready[heard:]:
                told(what)
            heard = len(state.ready)
            if state.status == "ready":
                return state
            if state.status == "failed":
                raise ServerFailed(state.message)
        if ended:
            raise ServerFailed(
                f"the supervisor ended with exit code {supervisor.returncode}:\n{tail(directory / _LOG)}"
            )
        time.sleep(_LOOK_SECONDS)
    raise ServerFailed(f"the sandbox was not ready in {_START_SECONDS:g} s; its supervisor's log is {directory / _LOG}")


def _known(directory: Path) -> State:
    state = read_state(directory)
    if state is None:
        raise ServerFailed(f"{directory} has no state")
    if state.status == "failed":
        raise ServerFailed(state.message)
    return state
