"""Deadlines of the runbook: durable timers that escalate once when missed, and never stop the work.

ARCHITECTURE, rule 9.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic import BaseModel, Field
from temporalio import workflow

from audit.deadlines import Stood


class Lapse(BaseModel):
    """A milestone that was reached, and lost again."""

    met_at: datetime
    lost_at: datetime
    missed: bool = Field(description="Its deadline had passed before it was reached.")


class Clock(BaseModel):
    """One deadline."""

    name: str
    due_at: datetime
    met_at: datetime | None = None
    missed: bool = False
    lapses: list[Lapse] = []


Missed = Callable[[Clock], Coroutine[Any, Any, None]]


class Saying(Protocol):
    """Says something of a deadline; at another time than now where it was so before a reset."""

    def __call__(self, text: str, at: datetime | None = None) -> None:
        """Say it."""


class Clocks:
    """All deadlines of one run, counted from its start."""

    def __init__(self, say: Saying) -> None:
        self._say = say
        self._clocks: dict[str, Clock] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._met_before: set[str] = set()
        self.before: dict[str, Stood] = {}
        """How they stood before somebody reset the run: the first time counts."""

    def __getitem__(self, name: str) -> Clock:
        return self._clocks[name]

    @property
    def all(self) -> list[Clock]:
        """In the order they were started."""
        return list(self._clocks.values())

    def start(self, name: str, within: timedelta, missed: Missed) -> None:
        """Start a deadline; `missed` is awaited once when it passes."""
        before = self.before.get(name, Stood())
        counted_from = before.lost_at or workflow.info().workflow_start_time
        clock = self._clocks[name] = Clock(name=name, due_at=counted_from + within)
        if before.missed_at is not None:
            clock.missed = True
            self._say_missed(clock, before.missed_at)
        if before.met_at is not None:
            clock.met_at = before.met_at
            self._met_before.add(name)
            self._say_met(clock, before.met_at)
        elif clock.missed:  # what was to be told is told, once, whatever was killed then
            self._tasks.append(asyncio.create_task(missed(clock)))
        else:
            self._tasks.append(asyncio.create_task(self._watch(clock, missed)))

    def met(self, name: str) -> bool:
        """Stop a deadline; True the first time, also where that was reached before a reset."""
        clock = self._clocks[name]
        if name in self._met_before:
            self._met_before.discard(name)
            return True
        if clock.met_at is not None:
            return False
        clock.met_at = workflow.now()
        self._say_met(clock)
        return True

    def lost(self, name: str, within: timedelta, missed: Missed) -> Lapse | None:
        """Start a deadline anew that was met, since what it stood for no longer holds; None where it wasn't met."""
        clock = self._clocks[name]
        if clock.met_at is None:
            return None
        self._met_before.discard(name)
        lapse = Lapse(met_at=clock.met_at, lost_at=workflow.now(), missed=clock.missed)
        clock.lapses.append(lapse)
        clock.met_at, clock.missed, clock.due_at = None, False, lapse.lost_at + within
        self._say(
            f"{name} lost at {_since_start(lapse.lost_at):.1f} s: "
            f"it held since {_since_start(lapse.met_at):.1f} s, and is due again at {clock.due_at:%H:%M:%S} UTC"
        )
        self._tasks.append(asyncio.create_task(self._watch(clock, missed)))
        return lapse

    def took(self, name: str) -> timedelta | None:
        """Say how long it took, None where it wasn't reached."""
        met_at = self._clocks[name].met_at
        return met_at - workflow.info().workflow_start_time if met_at else None

    def stop(self) -> None:
        """Stop them all: the run ends."""
        for task in self._tasks:
            task.cancel()

    async def _watch(self, clock: Clock, missed: Missed) -> None:
        left = clock.due_at - workflow.now()
        try:
            await workflow.wait_condition(
                lambda: clock.met_at is not None,
                timeout=max(left, timedelta(milliseconds=1)),
                timeout_summary=f"deadline: {clock.name}",
            )
        except TimeoutError:
            clock.missed = True
            self._say_missed(clock)
            await missed(clock)

    def _say_met(self, clock: Clock, at: datetime | None = None) -> None:
        again = " again" if clock.lapses else ""
        after = _since_start(at or workflow.now())
        self._say(f"{clock.name}{again} after {after:.1f} s{' (late)' if clock.missed else ''}", at)

    def _say_missed(self, clock: Clock, at: datetime | None = None) -> None:
        self._say(f"{clock.name}: deadline of {clock.due_at:%H:%M:%S} UTC missed", at)


def _since_start(at: datetime) -> float:
    return (at - workflow.info().workflow_start_time).total_seconds()
