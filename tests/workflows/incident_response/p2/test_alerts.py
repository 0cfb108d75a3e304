"""Alerts of a P2: those of one incident are one incident, whichever run gets them."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from temporalio.client import Client

from tests.plugins.patience import HANGS
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p2.runs import ADA, NAME, REQUEST, firing, open_incident, outcome
from tests.workflows.steering import begin, quiet, texts, until, waiting_for
from tests.workflows.worlds.degraded import Degraded
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p2_incident import P2Request
from workflows.platform.run_status import RunStatus


async def test_the_same_alert_twice_and_another_one_are_one_incident(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await handle.signal("alert", firing())
        await handle.signal("alert", firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC)))
        await until(handle, lambda status: "HighErrorRate fires: joins" in texts(status))
        await handle.execute_update("close", Closing(**ADA, resolution="over", root_cause="none"))
        await outcome(handle)
    assert len(world.done("records.create_incident")) == 1
    assert [request.alert.name for request in world.done("records.acknowledge_alert")] == [
        "HighLatency",
        "HighErrorRate",
    ]


async def test_a_second_run_joins_the_open_incident(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        first = await begin(client, queue, REQUEST, NAME)
        await until(first, lambda _: world.watches == 1)
        world.incidents = [open_incident(first, "P2")]
        second = await begin(client, queue, P2Request(requested_by="ada", title="Slow for me"), NAME)
        result = await outcome(second)
        status: RunStatus = await until(first, lambda status: "Slow for me, by ada" in texts(status))
        await first.execute_update("close", Closing(**ADA, resolution="over", root_cause="none"))
        await outcome(first)
    assert (result.outcome, result.incident_id) == ("joined", "INC-P2")
    assert status.waiting_for == ""
    assert len(world.done("records.create_incident")) == 1


async def test_what_one_post_tells_of_a_service_with_a_p1_goes_there(working: Working, client: Client) -> None:
    """As the webhook starts it: with all that the post has for the run, as its first signal."""
    world = Degraded()
    world.healthy = True
    errors = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    over = firing("full", name="DiskFull", status="resolved", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        p1 = await begin(client, queue, P2Request(), "p1_incident")
        await waiting_for(p1, "close")
        world.incidents = [open_incident(p1, "P1")]
        handle = await client.start_workflow(
            "P2Incident",
            REQUEST,
            id=f"joins/{uuid4()}",
            task_queue=queue,
            start_signal="alerts",
            start_signal_args=[[firing(), errors, over]],
        )
        async with asyncio.timeout(HANGS):
            result = await outcome(handle)
        status = await until(p1, lambda status: "HighErrorRate fires: joins" in texts(status))
        taken = (await (await handle.describe()).memo())["episodes"]
        await quiet(p1)
        await p1.terminate()
    assert (result.outcome, result.incident_id) == ("taken in", "INC-P1")
    assert texts(status).count("HighErrorRate fires: joins") == 1
    assert {firing().episode, errors.episode} <= set(taken)
    assert len(world.done("records.create_incident")) == 1


async def test_of_two_incidents_of_one_run_the_one_that_was_left_open_before_is_joined_by_nobody(
    working: Working, client: Client
) -> None:
    """A run that was terminated leaves its incident open; the next of the same workflow ID has another one."""
    world = Degraded()
    world.healthy = True
    async with working(world.activities()) as queue:
        p1 = await begin(client, queue, P2Request(), "p1_incident")
        await waiting_for(p1, "close")
        led = open_incident(p1, "P1")
        left = led.model_copy(update={"incident_id": "INC-LEFT", "opened_at": led.opened_at - timedelta(minutes=5)})
        world.incidents = [left, led]
        result = await outcome(await begin(client, queue, REQUEST, NAME))
        await quiet(p1)
        await p1.terminate()
    assert (result.outcome, result.incident_id) == ("taken in", "INC-P1")


async def test_an_incident_whose_run_has_ended_is_joined_by_nobody(working: Working, client: Client) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        first = await begin(client, queue, REQUEST, NAME)
        await outcome(first)
        world.incidents = [open_incident(first, "P2")]
        world.figures = world.figures.model_copy(update={"p95_latency": 3.0})
        result = await outcome(await begin(client, queue, P2Request(), NAME))
    assert result.outcome == "resolved"
    assert len(world.done("records.create_incident")) == 2
