"""What health says: one good answer is no mitigation, and none is no answer."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.service import IncidentPolicy
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import CLOSING, close, start, until
from tests.workflows.steering import quiet
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Incident, P1Request


async def test_a_healthy_service_is_left_alone(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        result = await close(await start(client, queue, P1Request()))
    assert result.mitigations == []
    assert not [name for name, _ in world.effects if name.startswith("kubernetes.")]


async def test_nobodys_default_is_not_done_to_a_service_that_is_healthy_by_then(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve", safe_default="rollback"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        world.healthy, world.crashing, world.ready = True, False, 3
        await time_skipping.sleep(timedelta(minutes=12))
        await until(handle, "close")
        result = await close(handle)
    assert result.mitigations == []
    assert not world.done("kubernetes.undo_rollout")


async def test_where_health_can_not_be_had_rounds_do_not_race(working: Working, client: Client) -> None:
    world = World()
    world.healthy, world.stopped_by = False, "a-restore"
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await quiet(handle)
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        await handle.result()
        assert (await handle.describe()).history_length < 250


async def test_one_good_answer_is_no_mitigation(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    world.blips = 1
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await close(handle)
        entries = (await handle.query(P1Incident.status)).entries
    told = [entry.text for entry in entries]
    mitigated = next(place for place, text in enumerate(told) if text.startswith("Mitigated after"))
    assert sum("Steady health" in text for text in told[:mitigated]) == 2
