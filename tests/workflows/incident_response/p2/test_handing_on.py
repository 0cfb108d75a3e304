"""A P2 goes on as a P1 with all there is, once."""

from datetime import UTC, datetime

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.incident_response.p2.runs import ADA, NAME, REQUEST, firing, handed_on, outcome
from tests.workflows.steering import begin, cancel, goes_on, quiet, texts, until
from tests.workflows.worlds.degraded import Degraded
from workflows.incident_response.incident_words import Raise
from workflows.platform.run_status import RunStatus
from workflows.shared.continued import (
    JOINED,
    Joined,
    p1_run_id,
)


async def test_what_goes_down_goes_on_as_p1_with_all_there_is(working: Working, client: Client) -> None:
    world = Degraded()
    world.goes_down = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        result = await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        status = await until(p1, lambda status: "Goes on with" in texts(status))
        await quiet(p1)
        await p1.terminate()
    assert result.outcome == "raised"
    assert status.incident_id == result.incident_id
    assert len(world.done("records.create_incident")) == 1
    (raised,) = world.done("records.raise_incident")
    assert (raised.incident_id, raised.severity) == (result.incident_id, "P1")
    assert not [one for one in world.done("records.close_incident") if one.incident_id == result.incident_id]
    levels = [request.level for request in world.done("paging.page")]
    assert levels == sorted(set(levels)), "the P1 pages the next level"
    assert len(world.done("autoscalers.release")) == 1


async def test_a_raised_incident_begins_nothing_anew_for_alerts_that_were_taken(
    working: Working, client: Client
) -> None:
    world = Degraded()
    world.watching = True
    world.taken = ["an-earlier-p1s"]
    errors = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    over = firing("full", name="DiskFull", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await handle.signal("alerts", [errors, over, over.model_copy(update={"status": "resolved"})])
        await until(handle, lambda status: "DiskFull has resolved" in texts(status))
        await handle.execute_update("raise", Raise(**ADA, reason="orders are lost"))
        await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        # Those that still fire are its alerts from now on; that one has ended is known.
        status = await until(p1, lambda status: "HighErrorRate fires: joins" in texts(status))
        await quiet(p1)
        await p1.terminate()
        taken = (await (await p1.describe()).memo())["episodes"]
    assert "DiskFull" not in texts(status)
    assert set(taken) == {"an-earlier-p1s", firing().episode, errors.episode, over.episode}


async def test_who_finds_it_down_raises_it(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await handle.signal(JOINED, Joined(what="found down in the morning", who="morning", severity="P1"))
        result = await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        await until(p1, lambda status: status.phase != "")
        await quiet(p1)
        await p1.terminate()
    assert (result.outcome, result.resolution) == ("raised", "found down in the morning")


async def test_a_raised_run_that_is_cancelled_gives_the_pods_back_and_leaves_the_incident(
    working: Working, client: Client
) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        handle, p1 = await handed_on(client, queue, world)
        await p1.terminate()  # the test server's clock, which is let go below, would end it otherwise
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        status = await handle.query("status", result_type=RunStatus)
    assert status.outcome == "raised"
    assert len(world.done("autoscalers.release")) == 1
    assert not world.done("paging.resolve"), "the P1 pages for it"
    assert not [post for post in world.done("slack.post") if "in human hands" in post.text]


async def test_what_fires_while_the_pods_are_held_on_is_the_p1s(working: Working, client: Client) -> None:
    world = Degraded()
    later = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        handle, p1 = await handed_on(client, queue, world)
        for alert in (later, later, later.model_copy(update={"status": "resolved"}), firing()):
            await handle.signal("alert", alert)
        status = await until(p1, lambda status: "HighErrorRate has resolved" in texts(status))
        await quiet(p1)
        await p1.terminate()
        result = await outcome(handle)  # the hold's time is over
    assert texts(status).count("HighErrorRate fires: joins") == 1
    acknowledged = [request.alert.name for request in world.done("records.acknowledge_alert")]
    assert acknowledged.count("HighErrorRate") == 1
    assert result.outcome == "raised"


async def test_what_fires_after_the_p1_is_a_new_incident_at_once(working: Working, client: Client) -> None:
    world = Degraded()
    later = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        handle, p1 = await handed_on(client, queue, world)
        await p1.terminate()
        world.watching = False
        await handle.signal("alert", later)
        # The test server's clock stands still: the hold's half hour can't be what ends it.
        await goes_on(client.get_workflow_handle(handle.id), handle.first_execution_run_id)
        result = await outcome(client.get_workflow_handle(handle.id))
    assert len(world.done("autoscalers.release")) >= 1
    first, second = world.done("records.create_incident")
    assert first.incident_id != second.incident_id == result.incident_id
    assert result.outcome == "resolved"
