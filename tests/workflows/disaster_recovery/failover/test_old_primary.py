"""The old primary stays fenced until somebody says how it comes back."""

from datetime import timedelta

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.failover.failovers import NAME, decide
from tests.workflows.steering import begin
from tests.workflows.worlds.failing_primary import FailingPrimary
from workflows.disaster_recovery.failover.database_failover import DatabaseFailoverRequest


async def test_the_old_primary_stays_fenced_where_nobody_says_otherwise(working: Working, client: Client) -> None:
    world = FailingPrimary()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        result = await handle.result()
        run = await handle.describe()
    assert run.close_time is not None
    assert timedelta(hours=24) < run.close_time - run.start_time < timedelta(hours=25)
    assert result["old_primary_is"] == "fenced"
    assert not world.done("database_hosts.rejoin")
    assert [p.level for p in world.done("paging.page")] == [1]  # reminded in the channel, not by pages
    assert any("still fenced" in m.text for m in world.done("slack.post"))


async def test_a_return_that_fails_is_asked_for_again(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.unreturned = 1
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        await decide(handle, "return-1", "rejoin")
        await decide(handle, "return-2", "rejoin")
        result = await handle.result()
    assert result["old_primary_is"] == "a replica"
