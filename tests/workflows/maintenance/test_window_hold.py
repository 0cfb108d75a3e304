"""Alerts that can't be silenced are no reason not to work."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.windows import SWAP, Clock, started, tick
from tests.workflows.steering import waiting_for
from tests.workflows.worlds.maintained import Maintained


async def test_alerts_that_cannot_be_silenced_are_no_reason_not_to(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    world.down = {"silences"}
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await waiting_for(handle, "tick swap")
        world.down = set()
        await tick(handle)
        assert (await handle.result())["outcome"] == "done"
    assert len(world.done("silences.lift")) == 1  # what went unanswered may have been set
