"""A lease ends by itself, is moved, and ends early; what it is for is let go on every way out."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from temporalio import workflow

from activities.common.errors import InvalidInput
from workflows.platform.lease import Extend, Lease, finally_do, shielded

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)
M = timedelta(minutes=1)


class Clock:
    """Stands in for Temporal's: time passes only while the lease waits; `meanwhile` says what happens then."""

    def __init__(self) -> None:
        self.now = NOW
        self.waited: list[timedelta] = []
        self.summaries: list[str] = []
        self.meanwhile: list[Callable[[], None]] = []

    async def wait_condition(self, reached: Callable[[], bool], **until: Any) -> None:
        timeout: timedelta = until["timeout"]
        self.waited.append(timeout)
        self.summaries.append(until["timeout_summary"])
        if len(self.waited) > 50:
            pytest.fail("it waits without end")
        await asyncio.sleep(0)
        if self.meanwhile:
            self.now += M
            self.meanwhile.pop(0)()
            if reached():
                return
        if reached():
            return
        self.now = max(self.now, self.now + timeout)
        raise TimeoutError


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(workflow, "now", lambda: found.now)
    monkeypatch.setattr(workflow, "wait_condition", found.wait_condition)
    return found


def a_lease(lasting: int = 30, longest: int = 60) -> Lease:
    return Lease.of("the pause", lasting * M, longest * M)


def test_it_begins_now_and_has_a_latest_end(clock: Clock) -> None:
    held = a_lease()
    assert (held.acquired_at, held.until, held.latest, held.ended_by) == (NOW, NOW + 30 * M, NOW + 60 * M, "")
    assert a_lease(90, 60).latest == NOW + 90 * M


def test_it_may_be_extended_up_to_its_latest_end_and_not_beyond(clock: Clock) -> None:
    held = a_lease()
    held.check(30 * M)
    with pytest.raises(InvalidInput, match=r"by: the pause may be extended by 30 min at most, until 04:00:00 UTC"):
        held.check(30 * M + timedelta(seconds=1))
    held.extend(20 * M)
    assert held.until == NOW + 50 * M
    held.check(10 * M)
    with pytest.raises(InvalidInput, match="10 min at most"):
        held.check(11 * M)


def test_one_that_has_ended_is_not_extended(clock: Clock) -> None:
    held = a_lease()
    held.end("ada (on-call)")
    held.end("bob (on-call)")
    assert held.ended_by == "ada (on-call)"
    with pytest.raises(InvalidInput, match=r"the pause: has ended already \(ada \(on-call\)\)"):
        held.check(M)


async def test_it_ends_by_itself(clock: Clock) -> None:
    held = a_lease()
    await held.hold()
    assert (held.ended_by, clock.now, clock.waited) == ("expiry", NOW + 30 * M, [30 * M])
    assert clock.summaries == ["lease: the pause until 03:30:00 UTC"]
    await held.hold()
    assert clock.waited == [30 * M], "what has ended is waited for by nobody"


async def test_its_end_may_be_moved_while_it_is_waited_for(clock: Clock) -> None:
    held = a_lease()
    clock.meanwhile = [lambda: held.extend(10 * M)]
    await held.hold()
    assert (held.ended_by, clock.now, clock.waited) == ("expiry", NOW + 40 * M, [30 * M, 39 * M])


async def test_it_may_end_early(clock: Clock) -> None:
    held = a_lease()
    clock.meanwhile = [lambda: held.end("ada (on-call)")]
    await held.hold()
    assert (held.ended_by, clock.now) == ("ada (on-call)", NOW + M)


async def test_one_that_is_over_when_it_is_looked_at_waits_no_more(clock: Clock) -> None:
    held = a_lease()
    clock.now = held.until
    await held.hold()
    assert (held.ended_by, clock.waited) == ("expiry", [])


async def test_a_word_said_before_the_end_comes_first(clock: Clock) -> None:
    held, moving = a_lease(), asyncio.Lock()
    await moving.acquire()
    clock.now = held.until + M  # all workers were down meanwhile

    async def carry_out() -> None:
        await asyncio.sleep(0)
        held.extend(10 * M)
        moving.release()

    task = asyncio.create_task(carry_out())
    await held.hold(moving)
    await task
    assert (held.ended_by, clock.now) == ("expiry", NOW + 40 * M)


async def test_it_tells_whether_a_time_in_it_was_reached(clock: Clock) -> None:
    held = a_lease()
    assert await held.wait_until(NOW + 5 * M, "reminder")
    assert (clock.now, clock.waited, clock.summaries) == (NOW + 5 * M, [5 * M], ["reminder"])
    clock.meanwhile = [lambda: held.extend(M)]
    assert not await held.wait_until(NOW + 20 * M, "reminder")
    clock.meanwhile = [lambda: held.end("ada")]
    assert not await held.wait_until(NOW + 20 * M, "reminder")
    other = a_lease()
    assert await other.wait_until(NOW, "past already")
    assert clock.waited[-1] == timedelta(0)


# -- ways out ------------------------------------------------------------------------------------------------


class Done:
    """Counts how often it was let go."""

    def __init__(self) -> None:
        self.times = 0

    async def last(self) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.times += 1


async def gives() -> str:
    return "result"


async def fails() -> str:
    raise ValueError("it failed")


async def test_what_was_held_is_let_go_whatever_came_of_the_work() -> None:
    done = Done()
    assert await finally_do(gives(), done.last) == "result"
    assert done.times == 1
    with pytest.raises(ValueError, match="it failed"):
        await finally_do(fails(), done.last)
    assert done.times == 2


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_a_cancellation_lets_go_and_follows(turns: int) -> None:
    """While the work goes on, and while it is being let go."""
    done = Done()

    async def work() -> str:
        await asyncio.sleep(0)
        return "result" if turns > 1 else await asyncio.Event().wait() and ""

    task: asyncio.Task[str] = asyncio.create_task(finally_do(work(), done.last))
    for _ in range(turns + 1):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.times == 1


async def test_a_failure_of_the_worker_itself_is_no_way_out() -> None:
    """A run that is dropped from a worker's cache is ended so: it goes on elsewhere, and holds what it holds."""
    done = Done()

    async def dropped() -> None:
        raise GeneratorExit

    with pytest.raises(GeneratorExit):
        await finally_do(dropped(), done.last)
    assert done.times == 0


async def test_shielded_work_comes_to_its_end_and_gives_its_result() -> None:
    assert await shielded(gives()) == "result"
    reached: list[str] = []

    async def slow() -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        reached.append("end")

    async def holding() -> Coroutine[Any, Any, None] | None:
        await shielded(slow())
        return None

    task = asyncio.create_task(holding())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached == ["end"]


def test_more_time_is_more_than_none() -> None:
    assert Extend(who="ada", role="on-call", by=timedelta(seconds=1)).by == timedelta(seconds=1)
    with pytest.raises(ValidationError, match="greater than 0"):
        Extend(who="ada", role="on-call", by=timedelta(0))
