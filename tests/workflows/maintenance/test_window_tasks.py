"""Tasks of a window that fail or overrun are put before a person, and ticked by people."""

from datetime import datetime, timedelta

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.windows import (
    ADA,
    HOUR,
    NAME,
    SWAP,
    VACUUM,
    Clock,
    decide,
    entered,
    overrunning,
    refused,
    started,
    tick,
    until_ended,
)
from tests.workflows.steering import begin, cancel, texts, told, until, waiting_for
from tests.workflows.worlds.maintained import Maintained
from workflows.maintenance.maintenance_window import MaintenanceWindow
from workflows.maintenance.window_words import TickTask
from workflows.platform.lease import Extend


@pytest.mark.parametrize(
    ("choice", "outcome", "tasks"),
    [
        ("retry", "done", ["done", "done"]),
        ("skip", "done", ["skipped", "done"]),
        ("go-back", "gone back", ["failed", "stopped"]),
        (None, "gone back", ["failed", "stopped"]),
    ],
)
async def test_a_child_that_fails_is_put_before_a_person(
    working: Working,
    client: Client,
    world: Maintained,
    clock: Clock,
    *,
    choice: str | None,
    outcome: str,
    tasks: list[str],
) -> None:
    world.facts = {"in_recovery": True}
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[VACUUM, SWAP])
        status = await waiting_for(handle, "decide task-1")
        assert "which is a replica" in status.questions[0].evidence[0]
        world.facts = {}
        if choice:
            await decide(handle, "task-1", choice)
        if outcome == "done":
            await tick(handle)
        result = await handle.result()
    assert result["outcome"] == outcome
    assert [each["status"] for each in result["tasks"]] == tasks
    assert world.closed()
    ended_early = outcome != "done"
    assert [len(each) for each in world.subjects()] == [1 + ended_early] * 2
    assert world.notices()[-1] == ("Completed", "operational")


async def test_a_child_that_overruns_is_extended(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    world.slow = "jobs"
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[VACUUM])
        await until(handle, lambda _: world.at_work)
        said = await handle.execute_update(MaintenanceWindow.extend, Extend(**ADA, by=HOUR, reason="slow"))
        assert str(said) == f"until {clock.start + 3 * HOUR:%Y-%m-%d %H:%M} UTC"
        assert next(iter(world.silenced.values())) > clock.start + 3 * HOUR
        assert world.notices()[-1] == ("In progress", "")
        world.at_work = False
        result = await handle.result()
    assert result["outcome"] == "done"
    assert world.closed()


async def test_an_overrun_is_asked_and_nobody_s_answer_goes_back(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await waiting_for(handle, "tick swap")
        await clock.reach(clock.start + 2 * HOUR + timedelta(seconds=1))
        await decide(handle, "overrun-1", "extend")
        await until(handle, lambda status: "Window extended until" in texts(status))
        result = await handle.result()
        timeline = await told(handle)
    assert (result["outcome"], result["tasks"][0]["status"]) == ("gone back", "stopped")
    assert "overrun-2: go-back (no answer)" in timeline
    assert "No answer to overrun-2" in timeline
    lasted = datetime.fromisoformat(result["ended_at"]) - clock.start
    assert timedelta(hours=2, minutes=60) <= lasted < timedelta(hours=3, minutes=15)
    assert world.closed()


async def test_a_tick_during_the_question_answers_it(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await overrunning(handle, world, clock)
        await handle.execute_update(MaintenanceWindow.tick, TickTask(**ADA, task="swap"))
        result = await handle.result()
    assert (result["outcome"], result["tasks"][0]["status"]) == ("done", "done")


async def test_an_extension_never_reaches_into_the_next_window(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        next_one = await begin(client, queue, clock.request(starts_at=clock.start + 3 * HOUR), NAME)
        await entered(next_one)
        handle = await started(client, queue, clock, tasks=[SWAP])
        await waiting_for(handle, "tick swap")
        reason = await refused(handle, Extend(**ADA, by=2 * HOUR))
        assert "has another window then: MW-" in reason
        assert "may be extended by 4 h at most" in await refused(handle, Extend(**ADA, by=5 * HOUR))
        await handle.execute_update(MaintenanceWindow.extend, Extend(**ADA, by=HOUR / 2))
        await tick(handle)
        assert (await handle.result())["outcome"] == "done"
        await cancel(next_one)
        await until_ended(next_one)
    assert world.closed()


async def test_a_tick_may_be_taken_back(working: Working, client: Client, world: Maintained, clock: Clock) -> None:
    other = {**SWAP, "id": "look"}
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP, other])
        await waiting_for(handle, "tick swap")
        await handle.execute_update(MaintenanceWindow.tick, TickTask(**ADA, task="look"))
        assert "ticked already" in await refused(handle, TickTask(**ADA, task="look"))
        await handle.execute_update(MaintenanceWindow.tick, TickTask(**ADA, task="look", undo=True))
        assert await tick(handle) == "look"
        assert await tick(handle, "look") == "everything is done"
        assert (await handle.result())["outcome"] == "done"
