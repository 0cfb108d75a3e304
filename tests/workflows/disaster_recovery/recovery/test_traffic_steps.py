"""Traffic in a full recovery (7.2): only where it is well; cancelled, failed, and watched for a day."""

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import CancelledError

from activities.catalogue.recovery import TrafficPolicy
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, decide, ended, passing, policy
from tests.workflows.steering import begin, cancel, comes, told, waiting_for
from tests.workflows.worlds.outage import REPLICAS, Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest


async def test_a_step_that_is_not_well_goes_back_one_and_is_tried_again(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.unwell_at = {50: {1}}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        result = await ended(handle)
        assert "50 % is too much" in await told(handle)
    assert world.shares == [0, 10, 25, 50, 25, 50, 100]
    assert result["outcome"] == "recovered"


async def test_where_the_step_below_is_no_longer_well_it_goes_further_down(working: Working, client: Client) -> None:
    world = Outage().broken()
    # 25 % is too much, and after it 10 % is so too, once.
    world.unwell_at = {25: {1}, 10: {2}}
    async with working(world.activities()) as queue:
        result = await ended(await begin(client, queue, FullServiceRecoveryRequest(), NAME))
    assert world.shares == [0, 10, 25, 10, 0, 10, 25, 50, 100]
    assert result["outcome"] == "recovered"


async def test_after_three_failures_people_are_asked_and_traffic_waits_where_it_was_well(
    working: Working, client: Client
) -> None:
    world = Outage().broken()
    world.unwell_at = {50: {1, 2, 3}}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await waiting_for(handle, "decide traffic")
        assert world.percent == 25
        await decide(handle, "traffic", "retry")
        result = await ended(handle)
    assert "3 steps of traffic have failed" in world.pages
    assert (result["outcome"], world.percent) == ("recovered", 100)


async def test_stopped_at_a_step_traffic_is_left_at_the_last_one_that_was_well(
    working: Working, client: Client
) -> None:
    world = Outage().broken()
    world.unwell_at = {50: range(1, 10)}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await decide(handle, "traffic", "stop")
        result = await ended(handle)
    assert (result["outcome"], result["traffic"], world.percent) == ("stopped", 25, 25)


async def test_traffic_that_somebody_else_moves_is_left_to_them_until_a_person_says(
    working: Working, client: Client
) -> None:
    world = Outage().broken()
    world.unwell_at, world.meanwhile = {25: {1}}, {25: 5}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        status = await waiting_for(handle, "decide traffic")
        assert "somebody else has set it" in status.questions[0].title
        assert world.percent == 5
        await decide(handle, "traffic", "retry")
        result = await ended(handle)
    assert result["outcome"] == "recovered"
    assert world.shares[-4:] == [10, 25, 50, 100]


async def test_replicas_come_back_in_shares_and_not_below_the_autoscalers_minimum(
    working: Working, client: Client
) -> None:
    world = Outage(recovery=policy(traffic=REPLICAS)).broken()
    world.replicas, world.autoscaling.hpa_min = 20, 3
    async with working(world.activities()) as queue:
        result = await ended(await begin(client, queue, FullServiceRecoveryRequest(), NAME))
    assert world.shares == [3, 5, 10, 20]
    assert (result["outcome"], result["traffic"]) == ("recovered", 100)


async def test_without_a_hand_on_traffic_nothing_is_moved(working: Working, client: Client) -> None:
    world = Outage(recovery=policy(traffic=TrafficPolicy())).broken()
    async with working(world.activities()) as queue:
        result = await ended(await begin(client, queue, FullServiceRecoveryRequest(), NAME))
    assert (result["outcome"], result["traffic"], world.shares) == ("recovered", None, [])


@pytest.mark.parametrize(("healthy", "percent"), [(True, 100), (False, 0)])
async def test_cancelled_before_any_step_traffic_comes_back_only_to_a_healthy_service(
    working: Working, client: Client, *, healthy: bool, percent: int
) -> None:
    world = Outage(recovery=policy(order=[["worker"]])).broken()
    world.stuck["worker"] = 9
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await waiting_for(handle, "decide stage-1")
        world.healthy = healthy
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        assert f"traffic is left at {percent} %" in await told(handle)
    assert isinstance(failed.value.cause, CancelledError)
    assert world.percent == percent
    assert not world.done("records.close_incident")


async def test_cancelled_while_traffic_rises_it_is_left_at_the_last_step_that_was_well(
    working: Working, client: Client
) -> None:
    world = Outage().broken()
    world.unwell_at = {50: range(1, 10)}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await waiting_for(handle, "decide traffic")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert world.percent == 25
    assert "traffic is left at 25 %" in world.pages


async def test_a_recovery_that_fails_says_so_and_leaves_traffic_where_it_was(working: Working, client: Client) -> None:
    world = Outage().broken()
    world.down.add("traffic.shift")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        async with passing(handle) as result:
            # five minutes of trying to put it back
            await comes(lambda: len(world.done("paging.page")) >= 2, "a page")
            world.down.clear()
            with pytest.raises(WorkflowFailureError):
                await result
    assert world.percent == 100
    assert world.restarts == []
    assert "the recovery has failed" in world.pages
