"""A failover (7.1) from the fence on: it is finished, whatever fails; and the old primary returns."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError

from activities.catalogue.workloads import WorkloadPolicy
from activities.database.replication.slots import LogicalSlot
from tests.plugins.patience import HANGS
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.failover.failovers import CHANGES, NAME, alert, changed, decide
from tests.workflows.steering import Handle, begin, cancel, goes_on, told, until, waiting_for
from tests.workflows.worlds.failing_primary import FailingPrimary, standby
from tests.workflows.worlds.pointed import SECRET, another
from workers.clients import connect
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.disaster_recovery.failover.database_failover import DatabaseFailoverRequest


async def test_all_services_of_the_database_are_moved_and_those_that_can_not_be_are_named(
    working: Working, client: Client
) -> None:
    world = FailingPrimary()
    nightly = WorkloadPolicy(kind="CronJob", name="nightly")
    queue_ = WorkloadPolicy(kind="StatefulSet", name="queue")
    world.service = world.service.model_copy(update={"workloads": (nightly, queue_)})
    world.others = {
        "billing": another("billing", "primary", "replica-1", "replica-2", poolers=["front"]),
        "reports": another("reports", "primary", poolers=["front", "back"]),
    }
    world.deaf_poolers = {"back"}
    world.slots = [
        LogicalSlot(name="warehouse", plugin="pgoutput", active=False, failover=True, synced=True),
        LogicalSlot(name="search", plugin="pgoutput", active=False, failover=False, synced=False),
    ]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(service="tensafe-server"), NAME)
        status = await waiting_for(handle, "decide failover-1")
        assert changed(world) == []
        assert set(world.held) == {SECRET, "billing-database", "reports-database"}
        await decide(handle, "failover-1", "promote")
        await decide(handle, "return-1", "leave")
        await handle.result()
    evidence = "\n".join(status.questions[0].evidence)
    assert "billing uses this database too: it is pointed at replica-1 as well" in evidence
    assert "reports uses this database too: is not moved: its settings have no Secret of replica-1" in evidence
    assert "Logical slots that go on at replica-1: warehouse" in evidence
    assert "Logical slots on replica-1 that may not go on: search" in evidence
    assert (world.pointed, world.also_pointed) == ("replica-1", {"billing-database": "replica-1"})
    assert sorted(str(one) for one in world.done("workload_holds.restart")) == [
        "cronjob/nightly",
        "deployment/billing",
        "deployment/reports",
        "statefulset/queue",
    ]
    assert "Pooler front: its clients are sent to replica-1" in evidence
    assert world.poolers == {"front": "replica-1"}
    assert any(
        "clients of pooler back are not sent to replica-1 yet: do it" in one.summary
        for one in world.done("paging.page")
    )
    assert any("reports is not moved" in page.summary for page in world.done("paging.page"))
    assert not world.held


async def test_a_run_at_another_service_of_the_database_keeps_a_failover_away(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.others = {"billing": another("billing", "primary", "replica-1")}
    world.held["billing-database"] = "a-restore"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(service="tensafe-server"), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "billing uses tensafe too" in str(failed.value.cause)
    assert changed(world) == []
    assert world.held == {"billing-database": "a-restore"}


async def test_nobody_is_promoted_before_the_old_primary_is_fenced(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.unfenced = 2
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        await decide(handle, "fence-1", "retry")
        await waiting_for(handle, "decide fence-2")
        assert changed(world) == []
        with pytest.raises(WorkflowUpdateFailedError):  # it takes a reason
            await decide(handle, "fence-2", "by-hand")
        await decide(handle, "fence-2", "by-hand", "its power is off")
        await decide(handle, "return-1", "leave")
        result = await handle.result()
    assert result["failed_over"]
    assert "database_hosts.fence" not in changed(world)


async def test_fenced_by_hand_is_not_believed_of_a_primary_that_answers(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.unfenced = 1
    world.answering = [False, False, True]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        await decide(handle, "fence-1", "by-hand", "its power is off")
        await decide(handle, "return-1", "leave")
        await handle.result()
        timeline = await told(handle)
    assert "primary still answers: it is not fenced" in timeline
    assert changed(world)[:2] == ["database_hosts.fence", "replication.promote"]  # tried again, and it went


@pytest.mark.parametrize("by", ["abort", "no answer", "cancel"])
async def test_without_a_fence_nothing_is_changed(working: Working, client: Client, by: str) -> None:
    world = FailingPrimary()
    world.unfenced = 9
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        if by == "abort":
            await decide(handle, "fence-1", "abort")
        elif by == "cancel":
            await waiting_for(handle, "decide fence-1")
            await cancel(handle)
        if by == "cancel":
            with pytest.raises(WorkflowFailureError) as failed:
                await handle.result()
            assert isinstance(failed.value.cause, CancelledError)
        else:
            await handle.result()
        timeline = await told(handle)
    assert changed(world) == []
    assert "nobody is promoted" in timeline
    assert not world.held


async def test_a_promotion_that_fails_is_tried_on(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.unpromoted = 2
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        await decide(handle, "promote-1", "retry")
        result = await handle.result()  # nobody answers promote-2: it is tried again
    assert result["failed_over"]


async def test_a_promotion_that_is_left_is_said_so(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.unpromoted = 99
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        await decide(handle, "promote-1", "leave")
        result = await handle.result()
        status = await handle.query("status")
    assert (result["failed_over"], result["old_primary_is"], status["outcome"]) == (False, "fenced", "not promoted")
    assert changed(world) == ["database_hosts.fence"]


@pytest.mark.parametrize("while_", ["database_hosts.fence", "replication.promote", "database_secrets.point"])
async def test_cancelled_from_the_fence_on_it_is_finished(working: Working, client: Client, while_: str) -> None:
    world = FailingPrimary()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        world.during[while_] = lambda: world.unblock.wait(HANGS)
        await decide(handle, "failover-1", "promote")
        await until(handle, lambda _: bool(world.done(while_)))
        await handle.cancel()
        world.unblock.set()
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        status = await handle.query("status")
    assert isinstance(failed.value.cause, CancelledError)
    assert status["outcome"] == "cancelled, after the failover"
    assert sorted(changed(world)) == sorted(CHANGES)
    assert (world.primary, world.pointed, world.held) == ("replica-1", "replica-1", {})
    assert world.done("records.close_incident")


async def test_cancelled_before_the_fence_nothing_is_changed(working: Working, client: Client) -> None:
    world = FailingPrimary()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await waiting_for(handle, "decide failover-1")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        status = await handle.query("status")
    assert isinstance(failed.value.cause, CancelledError)
    assert status["outcome"] == "cancelled"
    assert changed(world) == []
    assert [r.milestone for r in world.done("records.mark_incident")][-1] == "cancelled"
    assert not world.held


async def test_a_service_that_somebody_else_has_pointed_is_left_and_said(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.during["replication.promote"] = lambda: setattr(world, "pointed", "somewhere")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        await decide(handle, "return-1", "leave")
        result = await handle.result()
        status = await handle.query("status")
    assert (result["failed_over"], result["healthy"]) == (True, False)
    assert status["outcome"] == "failed over, not healthy"
    assert "kubernetes.restart_rollout" not in changed(world)
    assert not world.done("records.close_incident")


async def test_an_archive_that_does_not_follow_is_escalated(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.down.add("backups.follow")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        result = await handle.result()
    assert result["healthy"]
    assert any("is not archived" in page.summary for page in world.done("paging.page"))


async def test_the_next_failure_is_the_next_failover_of_the_same_alert(temporal_address: str) -> None:
    # On a real server: after a run that continued as new, the test server sometimes answers no more.
    world, queue = FailingPrimary(), f"q-{uuid4()}"
    client = await connect(TemporalSettings(address=temporal_address))
    async with build(client, TemporalSettings(task_queue=queue), world.activities()):
        first = await begin(client, queue, DatabaseFailoverRequest(alert=alert()), NAME)
        await decide(first, "failover-1", "promote")
        await waiting_for(first, "decide return-1")
        await first.signal("alert", alert())  # repeated: this run has it
        world.standings = {"replica-2": standby(upstream="replica-1", timeline=2)}
        await first.signal("alert", alert(datetime(2026, 2, 4, 15, tzinfo=UTC)))
        following: Handle = client.get_workflow_handle(first.id)
        await goes_on(following, first.first_execution_run_id)
        await decide(following, "failover-1", "promote")
        await decide(following, "return-1", "leave")
        result = await following.result()
    assert (result["old_primary"], result["primary"]) == ("replica-1", "replica-2")
    assert [p.server for p in world.done("replication.promote")] == ["replica-1", "replica-2"]
    assert len({r.incident_id for r in world.done("records.create_incident")}) == 2
    keys = [request.effect.key for _, request in world.effects]
    assert len(keys) == len(set(keys))
