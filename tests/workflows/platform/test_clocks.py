"""A deadline is met once, may be lost and is then due again, and keeps how it stood before a reset."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio import workflow

from audit.deadlines import Stood
from workflows.platform.clocks import Clock, Clocks

START = datetime(2026, 2, 4, 3, tzinfo=UTC)
WITHIN = timedelta(minutes=15)


class Time:
    """What a run sees of time: it passes where the test says so, and waits end when their deadline has come."""

    def __init__(self) -> None:
        self.now = START

    async def wait(self, true: Callable[[], bool], *, timeout: timedelta, timeout_summary: str) -> None:  # noqa: ASYNC109
        due = self.now + timeout
        while not true():
            if self.now >= due:
                raise TimeoutError(timeout_summary)
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(workflow, "info", lambda: SimpleNamespace(workflow_start_time=START))
    monkeypatch.setattr(workflow, "now", lambda: found.now)
    monkeypatch.setattr(workflow, "wait_condition", found.wait)
    return found


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Told:
    """What was said, and which deadlines were escalated."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.missed: list[str] = []
        self.clocks = Clocks(self.say)

    def say(self, text: str, at: datetime | None = None) -> None:
        self.said.append(text)

    async def escalate(self, clock: Clock) -> None:
        self.missed.append(clock.name)

    def start(self) -> None:
        self.clocks.start("Mitigated", WITHIN, self.escalate)


@pytest.fixture
async def told() -> Any:
    made = Told()
    yield made
    made.clocks.stop()


async def test_a_deadline_that_passes_escalates_once(told: Told, time: Time) -> None:
    told.start()
    await turns()
    time.now += WITHIN
    await turns()
    time.now += WITHIN
    await turns()
    assert told.missed == ["Mitigated"]
    assert told.clocks.met("Mitigated")
    assert told.said[-1] == "Mitigated after 1800.0 s (late)"


async def test_what_is_met_is_met_once_and_escalates_nothing(told: Told, time: Time) -> None:
    told.start()
    await turns()
    time.now += timedelta(seconds=90)
    assert [told.clocks.met("Mitigated") for _ in range(2)] == [True, False]
    time.now += WITHIN
    await turns()
    assert told.missed == []
    assert told.clocks.took("Mitigated") == timedelta(seconds=90)


async def test_what_was_lost_is_due_again_from_then_on(told: Told, time: Time) -> None:
    told.start()
    assert told.clocks.lost("Mitigated", WITHIN, told.escalate) is None
    time.now += timedelta(minutes=1)
    told.clocks.met("Mitigated")
    time.now += timedelta(minutes=20)
    lapse = told.clocks.lost("Mitigated", WITHIN, told.escalate)
    assert lapse is not None
    assert not lapse.missed
    clock = told.clocks["Mitigated"]
    assert (clock.met_at, clock.missed, clock.due_at) == (None, False, START + timedelta(minutes=36))
    assert told.clocks.took("Mitigated") is None
    time.now += timedelta(minutes=1)
    assert told.clocks.met("Mitigated")
    assert told.said[-1] == "Mitigated again after 1320.0 s"


async def test_what_was_met_before_a_reset_is_met_at_that_time_and_reached_once_more(told: Told, time: Time) -> None:
    told.clocks.before = {"Mitigated": Stood(met_at=START + timedelta(seconds=30))}
    time.now += timedelta(hours=1)
    told.start()
    await turns()
    assert told.missed == []
    assert told.clocks.took("Mitigated") == timedelta(seconds=30)
    assert [told.clocks.met("Mitigated") for _ in range(2)] == [True, False]


async def test_what_was_missed_before_a_reset_is_escalated_again(told: Told, time: Time) -> None:
    told.clocks.before = {"Mitigated": Stood(missed_at=START + WITHIN)}
    time.now += timedelta(hours=1)
    told.start()
    await turns()
    assert told.missed == ["Mitigated"]
    assert told.clocks["Mitigated"].missed
