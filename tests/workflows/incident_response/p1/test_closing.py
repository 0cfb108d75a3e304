"""A P1 is closed by who may, on a service that is well, or by who has taken it over."""

import time

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.catalogue.service import IncidentPolicy
from activities.monitoring.health import Health, Steadiness, SteadyRequest
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import CLOSING, start, texts, until
from tests.workflows.steering import comes
from tests.workflows.worlds.world import World, instead
from workflows.incident_response.p1_incident import P1Incident


async def test_closing_is_refused_while_the_service_is_down(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        world.healthy = False
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(P1Incident.close, CLOSING)
        assert "is not healthy" in str(refused.value.cause)
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        assert (await handle.result()).outcome == "closed"


async def test_a_commander_who_takes_over_can_close_while_it_is_down(working: Working, client: Client) -> None:
    world = World()
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(P1Incident.close, CLOSING)
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        result = await handle.result()
        told = texts(await handle.query(P1Incident.status))
    assert (result.outcome, result.mitigations) == ("closed", [])
    assert "Closed although tensafe-server is not healthy" in told
    (record,) = world.done("records.close_incident")
    assert "closed while not healthy: unhealthy" in record.resolution
    assert len(world.done("paging.resolve")) == 1
    assert "Resolved" not in [update.status for update in world.done("statuspage.update")]
    assert not any("is healthy again" in post.text for post in world.done("slack.post"))


async def test_closing_is_no_consent_to_what_was_asked(working: Working, client: Client) -> None:
    world = World(IncidentPolicy(mitigation="approve", safe_default="rollback"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        assert (await handle.result()).mitigations == []
    assert not world.done("kubernetes.undo_rollout")


async def test_closed_while_a_mitigation_is_verified_nothing_more_is_tried(working: Working, client: Client) -> None:
    world = World()
    world.cures = set()
    world.break_down()
    closed: list[str] = []

    @activity.defn(name="health.steady")
    def steady(request: SteadyRequest) -> Steadiness:
        closed.append("waits")
        while "closed" not in closed:
            activity.heartbeat()
            time.sleep(0.02)
        world.crashing, world.saturation = False, 1.0  # what asks for more replicas, and plainly
        return Steadiness(steady=False, last=Health(status="unhealthy", milliseconds=1), checks=1, seconds=1, longest=0)

    async with working(instead(world.activities(), steady)) as queue:
        handle = await start(client, queue)
        await comes(lambda: "waits" in closed, "a look at its health")
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        closed.append("closed")
        result = await handle.result()
    assert result.mitigations == ["restart"]
    assert not world.done("kubernetes.scale")
