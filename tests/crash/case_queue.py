"""One queue for all cases of all scenarios: what others wait for first, then the slowest, while there is room."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tests.crash.durations import UNDISTURBED, Durations
from tests.crash.room import Room
from tests.crash.scenario import Scenario

_PAUSE_SECONDS = 0.25
_LINE_SECONDS = 30


@dataclass(frozen=True)
class Progress:
    """How far the queue is; the kills of scenarios whose undisturbed run has not ended are foreseen."""

    done: int
    of: int
    running: int
    seconds_left: float

    def __str__(self) -> str:
        left = timedelta(seconds=round(self.seconds_left))
        return f"{self.done} of {self.of} cases, {self.running} running, about {left} left"


Moved = Callable[[Progress], None]


def now_and_then(say: Callable[[str], None]) -> Moved:
    """Give what says twice a minute how far it is."""
    said_at = time.monotonic()

    def moved(now: Progress) -> None:
        nonlocal said_at
        if time.monotonic() > said_at + _LINE_SECONDS:
            said_at = time.monotonic()
            say(str(now))

    return moved


@dataclass
class _Job:
    scenario: Scenario
    kill: str
    run: Callable[[], Awaitable[None]]
    seconds: float
    """As foreseen."""
    leads_to: list[float]
    """The seconds of the kills that can begin when it has ended."""
    began: float = 0.0

    @property
    def order(self) -> tuple[bool, float]:
        return self.kill == UNDISTURBED, self.seconds + max(self.leads_to, default=0.0)

    @property
    def spent(self) -> float:
        """Give how many of its seconds are over."""
        return min(time.monotonic() - self.began, self.seconds)


class Queue:
    """Jobs may add jobs. `moved` hears a few times a second how far it is."""

    def __init__(self, durations: Durations, moved: Moved) -> None:
        self._durations, self._moved = durations, moved
        self._waiting: list[_Job] = []
        self._running: dict[asyncio.Task[None], _Job] = {}
        self._began = time.monotonic()
        self._done, self._seconds_done = 0, 0.0

    def add(
        self, scenario: Scenario, kill: str, run: Callable[[], Awaitable[None]], *, foreseen: Sequence[str] = ()
    ) -> None:
        """Add a case; `foreseen` are the kills that it will probably add itself."""
        leads_to = [self._durations.expected(scenario, kill) for kill in foreseen]
        self._waiting.append(_Job(scenario, kill, run, self._durations.expected(scenario, kill), leads_to))

    async def work(self) -> None:
        """Run all of it.

        Raises:
            Exception: a job did; those that run are given up.

        """
        room = Room()
        try:
            while self._waiting or self._running:
                while self._waiting and room.for_one_more(sum(job.scenario.weight for job in self._running.values())):
                    self._begin()
                over, _ = await asyncio.wait(self._running, timeout=_PAUSE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in over:
                    job = self._running.pop(task)
                    self._done, self._seconds_done = self._done + 1, self._seconds_done + job.seconds
                    task.result()
                self._moved(self._progress())
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(self) -> None:
        job = max(self._waiting, key=lambda job: job.order)
        self._waiting.remove(job)
        job.began = time.monotonic()
        self._running[asyncio.create_task(self._timed(job))] = job

    async def _timed(self, job: _Job) -> None:
        await job.run()
        self._durations.took(job.scenario, job.kill, time.monotonic() - job.began)

    def _progress(self) -> Progress:
        jobs = [*self._waiting, *self._running.values()]
        to_come = [job.seconds for job in jobs] + [seconds for job in jobs for seconds in job.leads_to]
        spent = sum(job.spent for job in self._running.values())
        rate = max(self._seconds_done + spent, 1.0) / (time.monotonic() - self._began)
        return Progress(self._done, self._done + len(to_come), len(self._running), (sum(to_come) - spent) / rate)
