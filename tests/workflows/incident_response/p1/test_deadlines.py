"""A missed deadline of 2.1 escalates once, and stops nothing."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.service import IncidentPolicy
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import close, start, until
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Incident
from workflows.platform.approval import Decision


async def test_missed_deadlines_escalate_once_each_and_stop_nothing(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve", decision_timeout=timedelta(hours=5)))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        await time_skipping.sleep(timedelta(minutes=31))
        status = await handle.query(P1Incident.status)
        assert {clock.name for clock in status.clocks if clock.missed} == {"Mitigated", "Stable"}
        assert [request.level for request in world.done("paging.page")] == [1, 2, 3]
        await handle.execute_update(
            P1Incident.decide,
            Decision(who="ada", role="commander", question="mitigation-1", choice="rollback"),
        )
        result = await close(handle)
    assert result.outcome == "closed"
    assert "Investigating" in [request.status for request in world.done("statuspage.update")]
