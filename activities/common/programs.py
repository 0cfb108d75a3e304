"""Programs that an activity runs: watched, ended with it, and never outliving the worker."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import BinaryIO

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.common.children import tied
from activities.common.errors import Unavailable
from audit.text import length

_NOTICE = 0.1
"""Seconds until a cancellation is noticed."""

_FAREWELL = 10.0
"""Seconds that a program has for putting its things in order when it is asked to end."""


@dataclass(frozen=True)
class Finished:
    """How a program ended; `code` is negative where a signal ended it."""

    code: int
    out: str
    err: str
    given_up: bool = False
    """Whether it was asked to end because going on was of no use."""


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    within: timedelta | None = None,
    hopeless: Callable[[], bool] = lambda: False,
    into: BinaryIO | None = None,
) -> Finished:
    """Run a program to its end. For activities that take no cancellation exception in their thread.

    Whoever cancels the activity asks the program to end, which may still put things in order. Where only this attempt
    is over (its worker ends, its time is up), the program is killed as by a crash: another attempt goes on from there.

    Args:
        command: The program and its arguments.
        environment: All of its environment.
        within: It is killed after that.
        hopeless: Asked now and then; where it says so, the program is asked to end.
        into: Where its output goes, if it isn't text; `out` is empty then.

    Raises:
        CancelledError: the activity was cancelled.
        Unavailable: the attempt is over, or the program was too slow.
        OSError: the program cannot be started.

    """
    deadline = time.monotonic() + within.total_seconds() if within else None
    with _child(command, environment, into) as child:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return _finished(child, _NOTICE)
            if activity.is_cancelled():
                details = activity.cancellation_details()
                if details is None or details.cancel_requested:
                    _end(child)
                    raise CancelledError("cancelled")
                raise Unavailable("this attempt is over; another one goes on")
            if within and deadline and time.monotonic() > deadline:
                raise Unavailable(f"{command[0]} did not answer in {length(within)}")
            if hopeless():
                return _end(child)


@contextlib.contextmanager
def _child(
    command: Sequence[str], environment: Mapping[str, str], into: BinaryIO | None
) -> Iterator[subprocess.Popen[str]]:
    # The kernel goes by the life of the thread that starts it, which is ours and waits here.
    bound = tied(command, environment=environment)
    child = subprocess.Popen(  # noqa: S603 - every argument is one argument
        bound.argv,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if into is None else into,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # a Ctrl-C in the worker's terminal is for the worker
        **bound.how,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)  # its own children too: it leads their group
            child.communicate()


def _finished(child: subprocess.Popen[str], seconds: float) -> Finished:
    out, err = child.communicate(timeout=seconds)
    return Finished(child.returncode, out or "", err)


def _end(child: subprocess.Popen[str]) -> Finished:
    child.terminate()
    try:
        end = _finished(child, _FAREWELL)
    except subprocess.TimeoutExpired:
        child.kill()
        end = _finished(child, _FAREWELL)
    return Finished(end.code, end.out, end.err, given_up=True)
