"""ManualScaleUp with the time-skipping server: the target is pinned, bounded, and never fewer than there are."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.autoscaling.states import Autoscaling
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, cause, told
from tests.workflows.worlds.platform import Platform
from workflows.scaling.manual_scale_up import ManualScaleUpRequest

NAME = "manual_scale_up"


async def test_two_more_replicas(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, ManualScaleUpRequest(), NAME)).result()
    assert (result["before"], result["target"], result["ready"], result["complete"]) == (3, 5, 5, True)
    (scaled,) = world.done("kubernetes.scale")
    assert scaled.at_least


async def test_an_autoscaler_that_would_undo_it_is_named(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        active = await (await begin(client, queue, ManualScaleUpRequest(), NAME)).result()
        world.autoscaling = Autoscaling(hpa_min=3, hpa_max=6, hpa_current=3, hpa_desired=3)
        bounded = await (await begin(client, queue, ManualScaleUpRequest(target="7"), NAME)).result()
    assert "emergency-scale-up" in active["warning"]
    assert "maxReplicas" in bounded["warning"]


async def test_too_many_replicas_are_refused_and_nothing_changes(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ManualScaleUpRequest(target="+90"), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert cause(failed.value).type == "Refused"
    assert world.effects == []


async def test_pods_that_do_not_come_page_the_on_call(working: Working, client: Client) -> None:
    world = Platform()
    world.rollout_completes = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ManualScaleUpRequest(), NAME)
        result = await handle.result()
    assert not result["complete"]
    assert len(world.done("paging.page")) == 1


async def test_a_plan_changes_nothing(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, ManualScaleUpRequest(dry_run=True), NAME)
        await handle.result()
        assert "would" in await told(handle)
    assert world.effects == []
