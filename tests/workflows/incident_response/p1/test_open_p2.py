"""A P1 goes on with the incident of an open P2, which delays no outage."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import Working
from tests.workflows.incident_response.p2.runs import ADA, NAME, REQUEST, asking, firing, opened, outcome
from tests.workflows.steering import begin, quiet, texts, until, waiting_for
from tests.workflows.worlds.degraded import Degraded
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p2_incident import P2Request
from workflows.shared.continued import (
    HANDED_OVER,
    TAKEN_IN,
    HandedOver,
    IncidentSoFar,
    TakenIn,
)


async def test_a_p1_goes_on_with_the_incident_of_an_open_p2_and_the_pods_stay(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    errors = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        second = await begin(client, queue, REQUEST, NAME)
        await until(second, lambda _: world.watches == 1)
        world.incidents, world.healthy = [await opened(second)], True
        first = await begin(client, queue, P2Request(title="All is down"), "p1_incident")
        # What comes to the P2 from here on is told to the P1.
        await until(second, lambda status: "Handed over to p1-incident/tensafe-server" in texts(status))
        await second.signal("alerts", [errors])
        result = await outcome(second)
        p1 = await until(first, lambda status: status.waiting_for == "close" and "HighErrorRate" in texts(status))
        await quiet(first)
        await first.terminate()
    assert (result.outcome, result.incident_id, result.fixes) == ("taken in", p1.incident_id, ["scale"])
    assert p1.incident_id == world.incidents[0].incident_id
    assert "HighLatency fires: joins this incident" in texts(p1)
    (created,) = world.done("records.create_incident")
    (raised,) = world.done("records.raise_incident")
    assert created.incident_id == raised.incident_id == p1.incident_id
    assert not world.done("records.close_incident") + world.done("paging.resolve")
    assert [page.level for page in world.done("paging.page")] == [1, 2]
    assert {page.incident_id for page in world.done("paging.page")} == {p1.incident_id}
    (thread,) = [post for post in world.done("slack.post") if post.thread is None]
    assert thread.text.startswith(":fire: *P2*")
    assert any("P1" in post.text and "All is down" in post.text for post in world.done("slack.post") if post.thread)
    assert len(world.done("autoscalers.release")) == 1


async def test_a_p2_that_is_being_closed_is_left_alone(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        second = await begin(client, queue, REQUEST, NAME)
        await until(second, lambda _: world.watches == 1)
        world.incidents, world.healthy = [await opened(second)], True
        world.down = {"records.close_incident"}
        await second.execute_update("close", Closing(**ADA, resolution="over", root_cause="none"))
        first = await begin(client, queue, P2Request(), "p1_incident")
        p1 = await waiting_for(first, "close")
        world.down = set()
        result = await outcome(second)
        await quiet(first)
        await first.terminate()
    assert result.outcome == "closed"
    assert p1.incident_id != result.incident_id
    assert "not handed over in time" not in texts(p1), "it was answered at once"


async def test_an_incident_that_is_handed_over_late_is_closed_as_a_part_of_the_other(
    working: Working, client: Client
) -> None:
    world = Degraded()
    world.healthy = True
    so_far = IncidentSoFar(incident_id="INC-LATE", opened_at=datetime.now(UTC), levels=2, why="down")
    async with working(world.activities()) as queue:
        first = await begin(client, queue, P2Request(), "p1_incident")
        await waiting_for(first, "close")
        await first.signal(HANDED_OVER, HandedOver(so_far=so_far, alerts=[firing()]))
        p1 = await until(first, lambda status: "HighLatency fires: joins" in texts(status))
        await quiet(first)
        await first.terminate()
    (closed,) = world.done("records.close_incident")
    assert (closed.incident_id, closed.resolution) == ("INC-LATE", f"Taken in by {p1.incident_id}")
    (pages,) = world.done("paging.resolve")
    assert (pages.incident_id, pages.levels) == ("INC-LATE", 2)


async def test_a_p2_stays_where_the_p1_that_would_take_it_in_has_ended(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        incident = (await opened(handle)).incident_id
        await handle.signal(TAKEN_IN, TakenIn(incident_id=incident, workflow_id=f"gone/{uuid4()}", why="down"))
        await until(handle, lambda status: "it stays here" in texts(status))
        result = await outcome(handle)
    assert (result.outcome, result.incident_id) == ("resolved", incident)
    assert len(world.done("records.close_incident")) == 1


async def test_a_p2_that_does_not_answer_delays_no_outage(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        first = await asking(client, queue, world)
        assert not world.done("records.create_incident")
        await time_skipping.sleep(timedelta(seconds=16))
        p1 = await waiting_for(first, "close")
        await quiet(first)
        await first.terminate()
    assert "INC-P2 was not handed over in time" in texts(p1)
    assert [one.incident_id for one in world.done("records.create_incident")] == [p1.incident_id] != ["INC-P2"]


async def test_a_p1_that_is_cancelled_while_it_is_given_an_incident_leaves_it_to_people(
    working: Working, client: Client
) -> None:
    world = Degraded()
    so_far = IncidentSoFar(incident_id="INC-P2", opened_at=datetime.now(UTC), levels=1, why="down")
    async with working(world.activities()) as queue:
        first = await asking(client, queue, world)
        await first.cancel()
        await first.signal(HANDED_OVER, HandedOver(so_far=so_far))
        with pytest.raises(WorkflowFailureError):
            await first.result()
    assert [(one.incident_id, one.milestone) for one in world.done("records.mark_incident")] == [
        ("INC-P2", "cancelled")
    ]
    assert [one.incident_id for one in world.done("paging.resolve")] == ["INC-P2"]
    assert not world.done("records.create_incident")
