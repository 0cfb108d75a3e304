"""Waiting inside an activity: one clock over all its attempts, a heartbeat each turn, and no sleeping in.

What an activity must remember goes into its heartbeats. When its worker dies, the attempt that follows reads them
and goes on where the last one was, instead of starting the clock anew.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError
from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.common.errors import Unavailable

_NOTICE = 0.1
"""Seconds until a worker's shutdown is noticed; a cancellation is noticed at once."""


class Progress(BaseModel):
    """What an activity remembers from one attempt to the next; subclass it to remember more.

    Every field needs a default.
    """

    started_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


_Progress = TypeVar("_Progress", bound=Progress)


def resume(kind: type[_Progress]) -> _Progress:
    """Give the progress that the last attempt reported, or a fresh one."""
    details = activity.info().heartbeat_details
    if details:
        try:
            return kind.model_validate(details[0])
        except ValidationError:
            pass  # written by another version of this code: its clock is lost, nothing else
    return kind()


def beat(progress: Progress) -> None:
    """Report progress."""
    activity.heartbeat(progress.model_dump(mode="json"))


def turns(
    progress: Progress, *, within: timedelta, every: timedelta, at_least: timedelta = timedelta(0)
) -> Iterator[float]:
    """Give a turn every so often until the time is up, at least one; each is the seconds since the first attempt began.

    However late an attempt begins, its own turns go on for ``at_least``: whoever must see something for a time can't
    have seen it while no worker looked.

    The last turn comes when the time is up, so whoever loops sees the state at its end. `progress` goes out with a
    heartbeat before each turn.

    Raises:
        CancelledError: the activity was cancelled.
        Unavailable: this worker is shutting down; the attempt that follows goes on elsewhere.

    """
    # Another worker's clock may be ahead of ours: time already spent is never negative.
    spent = max((datetime.now(UTC) - progress.started_at).total_seconds(), 0.0)
    now = time.monotonic()
    begun = now - spent
    deadline = max(begun + within.total_seconds(), now + at_least.total_seconds())
    while True:
        beat(progress)
        turn = time.monotonic()
        yield turn - begun
        if turn >= deadline:
            return
        pause(min(turn + every.total_seconds(), deadline) - time.monotonic())


def pause(seconds: float) -> None:
    """Sleep, unless the activity is cancelled or its worker shuts down.

    Raises:
        CancelledError: the activity was cancelled.
        Unavailable: this worker is shutting down.

    """
    end = time.monotonic() + seconds
    while True:
        if activity.is_cancelled():
            raise CancelledError("cancelled while waiting")
        if activity.is_worker_shutdown():
            raise Unavailable("this worker is shutting down, another attempt goes on elsewhere")
        left = end - time.monotonic()
        if left <= 0:
            return
        activity.wait_for_cancelled_sync(min(left, _NOTICE))
