"""Deadlines of the runbook: durable timers that escalate once when missed, and never stop the work.

ARCHITECTURE, rule 9.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel
from temporalio import workflow


class Clock(BaseModel):
    """One deadline."""

    name: str
    due_at: datetime
    met_at: datetime | None = None
    missed: bool = False


Missed = Callable[[Clock], Coroutine[Any, Any, None]]


class Clocks:
    """All deadlines of one run, counted from its start."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._clocks: dict[str, Clock] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def __getitem__(self, name: str) -> Clock:
        return self._clocks[name]

    @property
    def all(self) -> list[Clock]:
        """In the order they were started."""
        return list(self._clocks.values())

    def start(self, name: str, within: timedelta, missed: Missed) -> None:
        """Start a deadline; `missed` is awaited once when it passes."""
        clock = self._clocks[name] = Clock(name=name, due_at=workflow.info().workflow_start_time + within)
        self._tasks.append(asyncio.create_task(self._watch(clock, missed)))

    def met(self, name: str) -> bool:
        """Stop a deadline; True the first time."""
        clock = self._clocks[name]
        if clock.met_at is not None:
            return False
        clock.met_at = workflow.now()
        after = (clock.met_at - workflow.info().workflow_start_time).total_seconds()
        self._say(f"{name} after {after:.1f} s{' (late)' if clock.missed else ''}")
        return True

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
            self._say(f"{clock.name}: deadline of {clock.due_at:%H:%M:%S} missed")
            await missed(clock)
