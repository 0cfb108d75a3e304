"""A primary is down where nobody sees it up, until the very fence."""

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.failover.failovers import NAME, alert, changed, decide
from tests.workflows.steering import begin, told, waiting_for
from tests.workflows.worlds.failing_primary import FailingPrimary
from workflows.disaster_recovery.failover.database_failover import DatabaseFailoverRequest


async def test_a_primary_that_answers_is_left_alone(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.answering = [True]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        result = await handle.result()
    assert not result["failed_over"]
    assert world.effects == []


@pytest.mark.parametrize(("said", "goes_on"), [([1.0] * 5, False), ([1.0, 0.0], True), ([None], True)])
async def test_monitoring_is_believed_where_it_sees_it_up(
    working: Working, client: Client, said: list[float | None], *, goes_on: bool
) -> None:
    world = FailingPrimary(up="pg_up")
    world.up = said
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        if goes_on:
            await decide(handle, "failover-1", "leave")
        await handle.result()
        timeline = await told(handle)
    assert ("says monitoring: nothing is changed" in timeline) is not goes_on
    assert bool(world.done("records.create_incident")) is goes_on


async def test_a_primary_that_is_back_before_the_fence_is_left_alone(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.answering = [False, True]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        result = await handle.result()
        status = await handle.query("status")
    assert changed(world) == []
    assert (result["failed_over"], status["outcome"]) == (False, "primary answers")


async def test_an_alert_that_resolves_makes_it_look_again(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.answering = [False, False, True]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(alert=alert()), NAME)
        await waiting_for(handle, "decide failover-1")
        await handle.signal("alert", alert(status="resolved"))
        await waiting_for(handle, "decide failover-2")
        await handle.signal("alert", alert(status="resolved"))
        result = await handle.result()
    assert changed(world) == []
    assert not result["failed_over"]
