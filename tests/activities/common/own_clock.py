"""A clock for activities that wait (`activities.common.heartbeat`): it passes only while one of them waits.

How long what it does in between takes, on a machine that may be busy, is then no part of what a test sees. What is to
happen at a time happens then: after what the activity did before, and before what it does next.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio import activity

from activities.common import heartbeat

_TICK = 1e-9
"""What any wait takes: sums of fractions fall a little short, and nobody may wait for nothing for ever."""
_BEGUN = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class OwnClock:
    """Begins with 0 seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._planned: list[tuple[float, Callable[[], Any]]] = []

    def now(self, zone: tzinfo | None = UTC) -> datetime:
        return (_BEGUN + timedelta(seconds=self.seconds)).astimezone(zone)

    def ago(self, **spent: float) -> str:
        """Write a time that has gone by, as heartbeats do."""
        return (self.now() - timedelta(**spent)).isoformat()

    def at(self, seconds: float, action: Callable[[], Any]) -> None:
        """Let something happen, so many seconds after the beginning."""
        self._planned.append((seconds, action))

    def wait(self, seconds: float) -> None:
        end = self.seconds + seconds + _TICK
        for planned in sorted((one for one in self._planned if one[0] <= end), key=lambda one: one[0]):
            self._planned.remove(planned)
            self.seconds = max(self.seconds, planned[0])
            planned[1]()
        self.seconds = end


@pytest.fixture
def own_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnClock]:
    clock = OwnClock()
    with monkeypatch.context() as patch:
        patch.setattr(heartbeat, "time", SimpleNamespace(monotonic=lambda: clock.seconds))
        patch.setattr(heartbeat, "datetime", SimpleNamespace(now=clock.now))
        patch.setattr(activity, "wait_for_cancelled_sync", clock.wait)
        yield clock
