"""Where nobody answers, the recovery stops."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, ended
from tests.workflows.steering import begin
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest


async def test_nobody_answers_and_the_recovery_stops(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.tests_fail = 9
    async with working(world.activities()) as queue:
        result = await ended(await begin(client, queue, FullServiceRecoveryRequest(), NAME))
    assert (result["outcome"], world.percent) == ("stopped", 0)
    assert len(world.done("paging.page")) == 3  # begun, tests, nobody answers: that is the highest level
