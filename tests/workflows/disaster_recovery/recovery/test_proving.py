"""Failing tests keep traffic away until a person decides."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, decide, ended
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest


async def test_failing_tests_keep_traffic_away_until_a_person_decides(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.tests_fail = 2
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await decide(handle, "tests", "retry")
        assert (await waiting_for(handle, "decide tests-2")).questions[0].recommended is None
        assert world.shares == [0]
        await decide(handle, "tests-2", "retry")
        result = await ended(handle)
    assert result["outcome"] == "recovered"
    assert world.shares == [0, 10, 25, 50, 100]


async def test_stopped_by_failing_tests_traffic_stays_away_and_people_are_told_how_to_bring_it_back(
    working: Working, client: Client
) -> None:
    world = Outage().broken()
    world.tests_fail = 9
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await decide(handle, "tests", "stop")
        result = await ended(handle)
    assert (result["outcome"], result["traffic"], world.percent) == ("stopped", 0, 0)
    assert "login: expected HTTP 200" in str(result["reason"])
    assert "traffic is left at 0 %, where it was 100 % before" in world.pages
    assert not world.done("records.close_incident")
