"""Alerts of a P1: a new firing joins, an old one is ignored, and the end of the last one is an answer."""

from datetime import UTC, datetime
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle

from activities.catalogue.service import IncidentPolicy
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import CLOSING, close, firing, start, until
from tests.workflows.steering import goes_on
from tests.workflows.worlds.world import World
from workers.clients import connect
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.incident_response.p1_incident import P1Incident, P1Result
from workflows.platform.approval import Decision


async def test_the_alert_resolving_by_itself_ends_the_question(working: Working, client: Client) -> None:
    world = World(IncidentPolicy(mitigation="approve"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        world.cure("restart")
        await handle.signal(P1Incident.alert, firing().model_copy(update={"status": "resolved"}))
        result = await close(handle)
    assert result.mitigations == []
    assert len(world.done("records.resolve_alert")) == 1


async def test_a_new_firing_joins_and_an_old_one_is_ignored(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        await handle.signal(P1Incident.alert, firing())
        assert (await handle.query(P1Incident.status)).waiting_for == "close"
        world.break_down()
        world.cures = {"restart"}
        await handle.signal(P1Incident.alert, firing(datetime(2026, 2, 4, 5, tzinfo=UTC)))
        await until(handle, "decide mitigation-1")
        await handle.execute_update(
            P1Incident.decide,
            Decision(who="ada", role="commander", question="mitigation-1", choice="restart"),
        )
        result = await close(handle)
        memo = await (await handle.describe()).memo()
    assert len(world.done("records.create_incident")) == 1
    assert len(world.done("records.acknowledge_alert")) == 2
    assert result.mitigations == ["rollback", "restart"]
    assert len(memo["episodes"]) == 2


async def test_a_firing_during_the_closing_becomes_a_new_incident(temporal_address: str) -> None:
    # On a real server: after a run that continued as new, the test server sometimes stops skipping time.
    world, queue = World(), f"q-{uuid4()}"
    client = await connect(TemporalSettings(address=temporal_address))
    async with build(client, TemporalSettings(task_queue=queue), world.activities()):
        handle = await start(client, queue)
        await until(handle, "close")
        world.down = {"records.close_incident"}
        await handle.execute_update(P1Incident.close, CLOSING)
        await handle.signal(P1Incident.alert, firing(datetime(2026, 2, 4, 6, tzinfo=UTC)))
        world.down = set()
        following: WorkflowHandle[P1Incident, P1Result] = client.get_workflow_handle_for(P1Incident.run, handle.id)
        await goes_on(following, handle.first_execution_run_id)
        second = await close(following)
    created = [request.incident_id for request in world.done("records.create_incident")]
    assert len(set(created)) == 2
    assert second.incident_id == created[1]
    assert len(world.done("records.acknowledge_alert")) == 2
    keys = [request.effect.key for _, request in world.effects]
    assert len(keys) == len(set(keys))
