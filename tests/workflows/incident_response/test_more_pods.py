"""Option C of a P1: more pods, which the autoscaler leaves alone for a while; and what is told of what was done."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from activities.autoscaling.autoscalers import ReleaseAutoscaler
from activities.autoscaling.states import Autoscaling
from activities.common.effects import Change
from activities.kubernetes.cluster import UndoRollout
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, comes, texts, waiting_for
from tests.workflows.worlds.degraded import Degraded
from tests.workflows.worlds.world import World, instead
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Request, P1Result
from workflows.incident_response.p2_incident import P2Request, P2Result
from workflows.platform.approval import Decision

CLOSING = Closing(who="ada", role="commander", resolution="More pods", root_cause="A rush")
ANOTHERS = "emergency-scale-up/x"


class Busy(Degraded):
    """Down for want of pods."""

    def __init__(self, **policy: Any) -> None:
        super().__init__(**policy)
        self.healthy = False

    def cure(self, by: str) -> None:
        super().cure(by)
        self.healthy = self.healthy or by in self.cures

    def released_holds(self) -> list[ReleaseAutoscaler]:
        return self.done("autoscalers.release")


async def close(handle: Handle) -> P1Result:
    await waiting_for(handle, "close")
    await handle.execute_update("close", CLOSING)
    return P1Result.model_validate(await handle.result())


async def test_what_is_added_is_kept_by_a_pause_that_ends_by_itself(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = Busy()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(), "p1_incident")
        status = await waiting_for(handle, "close")
        (lease,) = status.leases
        assert (lease.name, lease.until - lease.acquired_at) == ("the autoscaler's pause", timedelta(minutes=30))
        assert world.paused
        assert [name for name, _ in world.effects if name in {"autoscalers.hold", "kubernetes.scale"}] == [
            "autoscalers.hold",
            "kubernetes.scale",
        ]
        await time_skipping.sleep(timedelta(minutes=31))  # people look for the cause for longer
        await comes(lambda: not world.paused, "the pause's end")
        assert not (await waiting_for(handle, "close")).leases
        result = await close(handle)
    assert result.mitigations == ["scale"]
    assert (world.replicas, len(world.released_holds())) == (10, 1)


async def test_closed_before_the_pause_ends_too(working: Working, client: Client) -> None:
    world = Busy()
    async with working(world.activities()) as queue:
        await close(await begin(client, queue, P1Request(), "p1_incident"))
    assert (world.paused, len(world.released_holds())) == (False, 1)


async def test_cancelled_it_is_let_go(working: Working, client: Client) -> None:
    world = Busy()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(), "p1_incident")
        await waiting_for(handle, "close")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert (world.paused, len(world.released_holds())) == (False, 1)


async def test_while_another_run_holds_it_pods_are_added_all_the_same(working: Working, client: Client) -> None:
    """It added pods itself, and has paused what would take them away; in an outage nobody waits for it."""
    world = Busy()
    world.paused_by = ANOTHERS
    async with working(world.activities()) as queue:
        result = await close(await begin(client, queue, P1Request(), "p1_incident"))
    assert result.mitigations == ["scale"]
    assert ([one.at_least for one in world.done("kubernetes.scale")], world.released_holds()) == ([True], [])
    assert world.paused_by == ANOTHERS


async def test_an_hpa_at_its_maximum_is_told_and_nobody_believes_in_more_pods(working: Working, client: Client) -> None:
    world = Busy()
    world.autoscaling = Autoscaling(hpa_min=1, hpa_max=3, hpa_current=3, hpa_desired=3)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(), "p1_incident")
        (question,) = (await waiting_for(handle, "decide mitigation-1")).questions
        assert "scale" not in question.options
        assert "no more pods: the HPA takes away what is above its maximum of 3; raise that first" in question.evidence
        await handle.terminate()
    assert not world.done("autoscalers.hold") + world.done("kubernetes.scale")


async def test_an_hpa_keeps_as_many_as_its_maximum(working: Working, client: Client) -> None:
    world = Busy()
    world.autoscaling = Autoscaling(hpa_min=1, hpa_max=5, hpa_current=3, hpa_desired=3)
    async with working(world.activities()) as queue:
        await close(await begin(client, queue, P1Request(), "p1_incident"))
    assert [one.floor for one in world.done("autoscalers.hold")] == [5]
    assert [one.replicas for one in world.done("kubernetes.scale")] == [5]


async def test_a_plan_holds_nothing(working: Working, client: Client) -> None:
    world = Busy()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(dry_run=True), "p1_incident")
        assert P1Result.model_validate(await handle.result()).outcome == "planned"
    assert not world.effects
    assert not world.paused


# -- told as it was ------------------------------------------------------------------------------------------


@activity.defn(name="kubernetes.undo_rollout")
def somebody_was_faster(request: UndoRollout) -> Change:
    raise ApplicationError("it is on revision 5 now", type="Refused", non_retryable=True)


async def test_what_could_not_be_done_is_not_told_as_done(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World()
    world.bad_release()
    async with working(instead(world.activities(), somebody_was_faster)) as queue:
        handle = await begin(client, queue, P1Request(), "p1_incident")
        (question,) = (await waiting_for(handle, "decide mitigation-1")).questions
        assert "rollback" not in question.options, "what was refused isn't tried again"
        world.healthy, world.crashing, world.ready = True, False, 3  # by whoever was faster
        await handle.execute_update(
            "decide", Decision(who="ada", role="commander", question=question.id, choice="none")
        )
        await time_skipping.sleep(timedelta(minutes=2))
        result = await close(handle)
        told = texts(await waiting_for(handle, ""))
    assert result.mitigations == []
    assert not [one for one in world.done("records.record_deployment") if one.status == "rolled_back"]
    posts = [one.text for one in world.done("slack.post")]
    assert any("is healthy again (nothing was done)" in text for text in posts), posts
    assert "it is on revision 5 now" in told


async def test_a_fix_that_was_refused_is_not_the_records_resolution(working: Working, client: Client) -> None:
    world = Degraded()
    world.paused_by = ANOTHERS
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P2Request(), "p2_incident")
        await comes(lambda: world.watches, "the watch")
        world.well()
        result = P2Result.model_validate(await handle.result())
    assert not world.done("kubernetes.scale")
    assert result.fixes == []
    assert result.resolution.startswith("Nothing that was tried could be done")
