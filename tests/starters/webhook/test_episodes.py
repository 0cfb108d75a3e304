"""One alert, one run: concurrent posts, repeats, new firings, ends."""

import asyncio
from pathlib import Path
from uuid import uuid4

from temporalio.client import Client, WorkflowExecutionStatus

from activities.catalogue.lookup import Catalogue
from activities.catalogue.service import ApprovalPolicy
from tests.starters.support import alert, fresh, outcomes, run_of, send, serving, settings_for, waiting_for, working
from tests.workflows.worlds.world import World
from workers import worker
from workers.clients import connect
from workers.settings import Temporal
from workflows.incident_response.p1_incident import Closing, P1Incident
from workflows.platform.search_attributes import PROCEDURE, SERVICE, SEVERITY

LATER = "2026-02-04T04:00:00Z"
NEXT_DAY = "2026-02-05T03:00:00Z"


async def test_twenty_posts_at_once_through_two_webhooks_are_one_run(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    configured = settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())
    name = fresh()
    async with serving(configured) as one, serving(configured) as two:
        responses = await asyncio.gather(*(send(http, alert(name)) for http in [one, two] * 10))
    taken = [response.json()["alerts"][0] for response in responses]
    assert sorted(one["outcome"] for one in taken) == ["joined"] * 19 + ["started"]
    runs = {one["run_id"] for one in taken}
    assert len(runs) == 1
    description = await client.get_workflow_handle(run_of(name)).describe()
    assert description.run_id in runs
    found = description.typed_search_attributes
    assert (found[PROCEDURE], found[SEVERITY], found[SERVICE]) == ("P1Incident", "P1", "tensafe-server")
    assert await description.static_summary() == "P1 incident response: API down"
    assert "`alertname`: `TensafeServerDown`" in (await description.static_details() or "")
    assert description.task_queue == configured.temporal.task_queue


async def test_alerts_of_a_group_are_episodes_of_their_own(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    names = [fresh() for _ in range(5)]
    async with serving(settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())) as http:
        assert await outcomes(http, *(alert(name) for name in names)) == ["started"] * 5
    runs = {(await client.get_workflow_handle(run_of(name)).describe()).run_id for name in names}
    assert len(runs) == 5


async def closed(client: Client, name: str) -> None:
    handle = client.get_workflow_handle_for(P1Incident.run, run_of(name))
    await waiting_for(client, handle.id, "close")
    closing = Closing(who="ada", role="commander", resolution="restarted", root_cause="unknown")
    await handle.execute_update(P1Incident.close, closing)
    await handle.result()


async def test_an_episode_is_handled_once_and_the_next_firing_anew(temporal_address: str, tmp_path: Path) -> None:
    world, queue, name = World(), f"q-{uuid4()}", fresh()
    async with (
        working(temporal_address, queue, world) as connected,
        serving(settings_for(temporal_address, queue, tmp_path, world)) as http,
    ):
        assert await outcomes(http, alert(name)) == ["started"]
        assert await outcomes(http, alert(name)) == ["joined"]
        assert await outcomes(http, alert(name, starts_at=LATER)) == ["joined"]
        assert await outcomes(http, alert(name, status="resolved")) == ["resolved"]
        await closed(connected, name)
        # Alertmanager repeats what still fires, and retries what was not answered; in whichever zone it speaks.
        assert await outcomes(http, alert(name)) == ["already_handled"]
        assert await outcomes(http, alert(name, starts_at="2026-02-04T05:00:00+01:00")) == ["already_handled"]
        assert await outcomes(http, alert(name, status="resolved")) == ["resolved"]
        new = alert(name, starts_at=NEXT_DAY)
        taken = sorted(await asyncio.gather(*(outcomes(http, new) for _ in range(5))))
        assert taken == [["joined"]] * 4 + [["started"]]
        await closed(connected, name)
        assert await outcomes(http, new) == ["already_handled"]
    assert len(world.done("records.create_incident")) == 2
    assert len(world.done("records.acknowledge_alert")) == 3
    assert len(world.done("paging.page")) == 2
    assert len(world.done("records.resolve_alert")) == 1


async def test_a_resolved_alert_that_nobody_handles_starts_nothing(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    name = fresh()
    async with serving(settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World())) as http:
        assert await outcomes(http, alert(name, status="resolved")) == ["resolved"]
    found = [run async for run in client.list_workflows(f'WorkflowId = "{run_of(name)}"')]
    assert not found


async def test_a_person_who_ended_a_run_is_not_overruled_but_a_failed_run_is_tried_again(
    temporal_address: str, tmp_path: Path, client: Client
) -> None:
    name, failing = fresh(), fresh()
    queue = f"q-{uuid4()}"
    async with serving(settings_for(temporal_address, queue, tmp_path, World())) as http:
        await outcomes(http, alert(name))
        await client.get_workflow_handle(run_of(name)).terminate("by hand")
        assert await outcomes(http, alert(name)) == ["already_handled"]

        first = (await send(http, alert(failing))).json()["alerts"][0]
        await fail(temporal_address, queue, first["workflow_id"])
        again = (await send(http, alert(failing))).json()["alerts"][0]
        assert again["outcome"] == "started"
        assert again["run_id"] != first["run_id"]


async def fail(address: str, queue: str, workflow_id: str) -> None:
    """Work on a run with a catalogue that is empty, in which it fails at once."""
    connected = await connect(Temporal(address=address))
    async with worker.build(connected, Temporal(task_queue=queue), [Catalogue({}, ApprovalPolicy()).resolve]):
        handle = connected.get_workflow_handle(workflow_id)
        async with asyncio.timeout(20):
            while (await handle.describe()).status is not WorkflowExecutionStatus.FAILED:
                await asyncio.sleep(0.05)
