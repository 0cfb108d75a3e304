"""EmergencyScaleUp with the time-skipping server: double once, and never leave the autoscaler paused."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import ScalingPolicy
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, comes, told, until
from tests.workflows.worlds.platform import Platform
from workflows.platform.lease import Extend, Resume
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest

ADA = {"who": "ada", "role": "on-call"}
NAME = "emergency_scale_up"


async def lasted(handle: Handle) -> timedelta:
    run = await handle.describe()
    assert run.close_time is not None
    return run.close_time - run.start_time


async def paused(handle: Handle, world: Platform) -> None:
    await until(handle, lambda status: status.phase == "Autoscaler paused" and "Pods" in str(status.entries))
    assert world.paused


async def test_three_become_six_and_the_autoscaler_is_resumed_after_thirty_minutes(
    working: Working, client: Client
) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        result = await handle.result()
        took = await lasted(handle)
    assert (result["before"], result["target"], world.replicas) == (3, 6, 6)
    assert result["complete"]
    assert result["ended_by"] == "expiry"
    assert not world.paused
    assert [name for name, _ in world.effects if not name.startswith("slack")] == [
        "autoscalers.hold",
        "kubernetes.scale",
        "autoscalers.release",
    ]
    assert timedelta(minutes=30) <= took < timedelta(minutes=45)


async def test_a_cancelled_run_resumes_the_autoscaler_and_is_cancelled(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        await paused(handle, world)
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, CancelledError)
    assert not world.paused
    assert len(world.done("autoscalers.release")) == 1


async def test_a_failing_scale_up_resumes_the_autoscaler(working: Working, client: Client) -> None:
    world = Platform()
    world.down.add("kubernetes.scale")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert world.replicas == 3
    assert not world.paused
    assert len(world.done("autoscalers.release")) == 1


async def test_a_hold_whose_answer_was_lost_is_let_go_wherever_it_may_be(working: Working, client: Client) -> None:
    world = Platform()
    world.down.add("autoscalers.hold")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    kinds = [request.kind for request in world.done("autoscalers.release")]
    assert kinds == ["ScaledObject", "HorizontalPodAutoscaler"]
    assert world.replicas == 3


async def test_a_person_may_extend_the_pause_and_end_it(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        await paused(handle, world)
        first = world.lease_until
        assert first is not None
        await handle.execute_update(EmergencyScaleUp.extend, Extend(**ADA, by=timedelta(minutes=15)))
        assert world.lease_until == first + timedelta(minutes=15)
        answer = await handle.execute_update(EmergencyScaleUp.resume, Resume(**ADA, reason="load is gone"))
        assert "active" in str(answer)
        result = await handle.result()
    assert result["ended_by"] == "ada (on-call)"
    assert not world.paused


async def test_an_extended_pause_ends_at_its_new_end(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        await paused(handle, world)
        await handle.execute_update(EmergencyScaleUp.extend, Extend(**ADA, by=timedelta(hours=1)))
        await handle.result()
        took = await lasted(handle)
    assert timedelta(minutes=90) <= took < timedelta(minutes=105)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (Extend(**ADA, by=timedelta(hours=9)), "may be extended by"),
        (Extend(who="eve", role="intern", by=timedelta(minutes=1)), "may not scale"),
    ],
)
async def test_an_extension_that_may_not_be_is_refused(
    working: Working, client: Client, word: Extend, says: str
) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        await paused(handle, world)
        until_before = world.lease_until
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(EmergencyScaleUp.extend, word)
        assert says in str(refused.value.cause)
        assert world.lease_until == until_before
        await handle.execute_update(EmergencyScaleUp.resume, Resume(**ADA))
        await handle.result()


async def test_what_somebody_else_paused_stays_paused(working: Working, client: Client) -> None:
    world = Platform()
    world.paused_by = "somebody"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        result = await handle.result()
        assert "paused by somebody else" in await told(handle)
    assert world.replicas == 6
    assert world.paused_by == "somebody"
    assert result["resumed"] == ""
    assert not world.done("autoscalers.release")


async def test_what_somebody_else_resumed_is_left_as_they_want_it(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        await paused(handle, world)
        world.paused_by = "somebody"
        await handle.execute_update(EmergencyScaleUp.resume, Resume(**ADA))
        result = await handle.result()
    assert "left" in result["resumed"]
    assert world.paused_by == "somebody"


async def test_a_second_run_is_refused_and_nothing_is_doubled_again(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        first = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        await paused(first, world)
        second = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        # Waiting for the second must not let the first's half hour pass.
        with time_skipping.auto_time_skipping_disabled(), pytest.raises(WorkflowFailureError) as failed:
            await second.result()
        assert cause(failed.value).type == "Refused"
        assert world.paused
        assert world.replicas == 6
        await first.execute_update(EmergencyScaleUp.resume, Resume(**ADA))
        await first.result()
    assert not world.paused


@pytest.mark.parametrize(
    ("request_", "world", "says"),
    [
        (EmergencyScaleUpRequest(lease=timedelta(hours=9)), Platform(), "longest_lease"),
        (EmergencyScaleUpRequest(service="nobody"), Platform(), "not in the catalogue"),
        (EmergencyScaleUpRequest(), Platform(scaling=ScalingPolicy(max_replicas=3)), "max_replicas"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_changes(
    working: Working, client: Client, request_: EmergencyScaleUpRequest, world: Platform, says: str
) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request_, NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert says in cause(failed.value).message
    assert world.effects == []


async def test_without_keda_the_hpas_maximum_bounds_the_target(working: Working, client: Client) -> None:
    world = Platform()
    world.autoscaling = Autoscaling(hpa_min=3, hpa_max=5, hpa_current=3, hpa_desired=3)
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, EmergencyScaleUpRequest(), NAME)).result()
    assert result["target"] == 5
    assert world.done("autoscalers.hold")[0].floor == 5


async def test_an_autoscaler_that_will_not_resume_pages_and_is_tried_on(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), NAME)
        await paused(handle, world)
        world.down.add("autoscalers.release")
        await handle.execute_update(EmergencyScaleUp.extend, Extend(**ADA, by=timedelta(seconds=1)))

        async def comes_back() -> None:
            await comes(lambda: world.done("paging.page"), "a page")
            world.down.clear()

        result, _ = await asyncio.gather(handle.result(), comes_back())
    assert len(world.done("paging.page")) == 1
    assert result["ended_by"] == "expiry"
    assert not world.paused


async def test_a_rollout_that_does_not_complete_pages_and_the_lease_is_held(working: Working, client: Client) -> None:
    world = Platform()
    world.rollout_completes = False
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, EmergencyScaleUpRequest(), NAME)).result()
    assert not result["complete"]
    assert len(world.done("paging.page")) == 1
    assert result["ended_by"] == "expiry"
    assert not world.paused


async def test_a_plan_changes_nothing(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, EmergencyScaleUpRequest(dry_run=True), NAME)
        result = await handle.result()
        assert "would resume the autoscaler" in await told(handle)
    assert world.effects == []
    assert result["target"] == 6
