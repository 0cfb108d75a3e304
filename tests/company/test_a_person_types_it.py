"""A person's run at the Temporal UI, under an ID of its own: no alert would find it, so it is refused with the ID."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.catalogue.run_ids import run_id
from tests.company.pods import pod
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import close
from tests.workflows.incident_response.p1.runs import start as start_p1
from tests.workflows.steering import SERVICE, cause
from tests.workflows.worlds.degraded import Degraded
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Request


@pytest.mark.parametrize(("kind", "command"), [("P1Incident", "p1-incident"), ("P2Incident", "p2-incident")])
@pytest.mark.parametrize("typed", ["mine", "p1-incident/other", "p1-incident", "{own}/2", "{own} "])
async def test_another_id_is_refused_at_once_with_the_one_to_use(
    working: Working, client: Client, kind: str, command: str, typed: str
) -> None:
    world, own = Degraded(), run_id(command, SERVICE)
    async with working(world.activities()) as queue:
        handle = await client.start_workflow(kind, {"title": "API down"}, id=typed.format(own=own), task_queue=queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    said = cause(failed.value)
    assert said.type == "InvalidInput"
    assert f"start it as '{own}'" in said.message
    assert world.effects == []


async def test_under_that_id_the_services_alerts_join_it(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start_p1(client, queue, P1Request(title="typed"))
        assert handle.id == run_id("p1-incident", SERVICE)
        await handle.signal("alerts", [pod(1), pod(2)])
        result = await close(handle)
    assert result.mitigations == ["rollback"]
    assert len(world.done("records.create_incident")) == 1
    assert len(world.done("records.acknowledge_alert")) == 2


async def test_a_plan_is_a_run_of_its_own(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        request = P1Request(title="what if", dry_run=True)
        handle = await client.start_workflow("P1Incident", request, id="plan-of-mine", task_queue=queue)
        assert (await handle.result())["outcome"] == "planned"
