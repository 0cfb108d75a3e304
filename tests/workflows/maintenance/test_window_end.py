"""A window ends with what is healthy, and tells of the incidents of its time."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.windows import SWAP, Clock, decide, started, tick, verifying
from tests.workflows.steering import waiting_for
from tests.workflows.worlds.maintained import Maintained


async def test_operational_is_said_only_of_what_is_healthy(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await verifying(handle, world, clock)
        await decide(handle, "verify-1", "look-again")
        await decide(handle, "verify-2", "end")
        result = await handle.result()
    assert (result["outcome"], result["healthy"]) == ("done, not healthy", False)
    assert world.notices()[-1] == ("Completed", "major_outage")
    assert world.closed()
    assert "the maintenance has ended, and the service is unhealthy" in world.pages()[0]


async def test_incidents_of_its_time_are_told_at_the_end(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await waiting_for(handle, "tick swap")
        at = await clock.environment.get_current_time()
        world.company.sql.execute(
            "INSERT INTO runbooks.incidents (incident_id, severity, title, service, commander, opened_at, workflow_id,"
            " run_id, effect_key) VALUES ('INC-2', 'P2', 'slow', 'tensafe-server', 'ada', %s, 'w', 'r', 'k')",
            (at,),
        )
        await tick(handle)
        result = await handle.result()
    assert result["incidents"] == ["INC-2"]
    assert "of its time is still open: INC-2" in world.pages()[0]
