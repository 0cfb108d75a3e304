"""DatabaseFailover's decisions: who is left alone, who is promoted, what is asked, how far it goes when cancelled."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError

from activities.records import Alert
from tests.workflows.conftest import Working
from tests.workflows.failing_primary import SILENT, FailingPrimary, standby
from tests.workflows.pointed import SECRET
from tests.workflows.steering import Handle, begin, cancel, cause, told, until, waiting_for
from workers.clients import connect
from workers.settings import Temporal
from workers.worker import build
from workflows.disaster_recovery.database_failover import DatabaseFailover, DatabaseFailoverRequest
from workflows.shared.approval import Decision

NAME = "database_failover"
DBA = {"who": "ada", "role": "dba"}
CHANGES = (
    "database_hosts.fence", "replication.promote", "replication.follow", "database_secrets.point",
    "kubernetes.restart_rollout",
)  # fmt: skip


def alert(starts_at: datetime = SILENT, **fields: Any) -> Alert:
    return Alert(source="alertmanager", fingerprint="f", name="DatabaseDown", starts_at=starts_at, **fields)


def changed(world: FailingPrimary) -> list[str]:
    return [name for name, _ in world.effects if name in CHANGES]


async def decide(handle: Handle, question: str, choice: str, reason: str = "") -> None:
    await waiting_for(handle, f"decide {question}")
    decision = Decision(**DBA, question=question, choice=choice, reason=reason)
    await handle.execute_update(DatabaseFailover.decide, decision)


async def test_the_replica_with_most_of_the_log_takes_over(working: Working, client: Client) -> None:
    world = FailingPrimary()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(alert=alert()), NAME)
        status = await waiting_for(handle, "decide failover-1")
        (question,) = status.questions
        await decide(handle, "failover-1", "promote")
        await decide(handle, "return-1", "rejoin")
        result = await handle.result()
    assert (question.recommended, question.default, question.kind) == ("promote", "leave", "failover")
    assert "may be lost" in "".join(question.evidence)
    assert changed(world) == [
        "database_hosts.fence", "replication.promote", *sorted(changed(world)[2:4]), "kubernetes.restart_rollout",
    ]  # fmt: skip
    (promote,) = world.done("replication.promote")
    assert (promote.server, promote.others, promote.timeline) == ("replica-1", ("primary", "replica-2"), 1)
    (follow,) = world.done("replication.follow")
    assert (follow.server, follow.source, follow.timeline) == ("replica-2", "replica-1", 2)
    assert world.pointed == "replica-1"
    assert [r.server for r in world.done("backups.follow")] == ["replica-1"]
    (rejoin,) = world.done("database_hosts.rejoin")
    assert (rejoin.server, rejoin.source) == ("primary", "replica-1")
    assert result["failed_over"]
    assert result["healthy"]
    assert (result["primary"], result["old_primary"], result["old_primary_is"]) == ("replica-1", "primary", "a replica")
    assert (result["timeline"], result["log_up_to"]) == (2, "0/3000")
    assert "1.0 s" in result["possible_loss"]
    assert [r.milestone for r in world.done("records.mark_incident")][-2:] == ["mitigated", "stable"]
    assert len(world.done("records.create_incident")) == len(world.done("records.close_incident")) == 1
    assert [r.status for r in world.done("statuspage.update")] == ["Monitoring", "Resolved"]
    assert not world.held


async def test_a_primary_that_answers_is_left_alone(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.answering = [True]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        result = await handle.result()
    assert not result["failed_over"]
    assert world.effects == []


@pytest.mark.parametrize(("said", "goes_on"), [([1.0] * 5, False), ([1.0, 0.0], True), ([None], True)])
async def test_monitoring_is_believed_where_it_sees_it_up(
    working: Working, client: Client, said: list[float | None], *, goes_on: bool
) -> None:
    world = FailingPrimary(up="pg_up")
    world.up = said
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        if goes_on:
            await decide(handle, "failover-1", "leave")
        await handle.result()
        timeline = await told(handle)
    assert ("says monitoring: nothing is changed" in timeline) is not goes_on
    assert bool(world.done("records.create_incident")) is goes_on


@pytest.mark.parametrize("by", ["no answer", "a person"])
async def test_nobody_is_promoted_without_a_word(working: Working, client: Client, by: str) -> None:
    world = FailingPrimary()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        if by == "a person":
            await decide(handle, "failover-1", "leave")
        result = await handle.result()
        status = await handle.query("status")
    assert not result["failed_over"]
    assert result["old_primary_is"] == ""
    assert changed(world) == []
    assert status["outcome"] == "not approved"
    assert [p.level for p in world.done("paging.page")] == ([1, 2, 3] if by == "no answer" else [1, 2])
    assert not world.held


async def test_a_role_that_may_not_fail_over_is_refused(working: Working, client: Client) -> None:
    world = FailingPrimary()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await waiting_for(handle, "decide failover-1")
        decision = Decision(who="eve", role="on-call", question="failover-1", choice="promote")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(DatabaseFailover.decide, decision)
        await decide(handle, "failover-1", "leave")
        await handle.result()
    assert "may not failover" in str(refused.value.cause)


async def test_a_primary_that_is_back_before_the_fence_is_left_alone(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.answering = [False, True]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        await decide(handle, "failover-1", "promote")
        result = await handle.result()
        status = await handle.query("status")
    assert changed(world) == []
    assert (result["failed_over"], status["outcome"]) == (False, "primary answers")


async def test_an_alert_that_resolves_makes_it_look_again(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.answering = [False, False, True]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(alert=alert()), NAME)
        await waiting_for(handle, "decide failover-1")
        await handle.signal("alert", alert(status="resolved"))
        await waiting_for(handle, "decide failover-2")
        await handle.signal("alert", alert(status="resolved"))
        result = await handle.result()
    assert changed(world) == []
    assert not result["failed_over"]


async def test_one_can_be_named_and_more_to_lose_takes_a_reason(working: Working, client: Client) -> None:
    world = FailingPrimary()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(promote="replica-2"), NAME)
        status = await waiting_for(handle, "decide failover-1")
        with pytest.raises(WorkflowUpdateFailedError):
            await decide(handle, "failover-1", "promote")
        await decide(handle, "failover-1", "promote", "replica-1's disk is full")
        await decide(handle, "return-1", "leave")
        result = await handle.result()
    assert "replica-1 has more of the log (0/3000)" in status.questions[0].evidence
    assert (result["primary"], result["old_primary_is"]) == ("replica-2", "fenced")


@pytest.mark.parametrize(
    "fields",
    [{"last_commit_at": SILENT - timedelta(minutes=6)}, {"last_commit_at": None}, {"paused": True}],
    ids=["behind", "not known", "paused"],
)
async def test_a_doubtful_replica_takes_a_reason(working: Working, client: Client, fields: dict[str, Any]) -> None:
    world = FailingPrimary()
    world.standings["replica-1"] = standby(**fields)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        status = await waiting_for(handle, "decide failover-1")
        await decide(handle, "failover-1", "leave")
        await handle.result()
    assert status.questions[0].recommended is None
    assert status.questions[0].reason_for == ["promote"]


UNFIT = {
    "unreachable": {"reachable": False, "trouble": "down"},
    "takes writes already": {"in_recovery": False},
    "follows replica-9, not primary": {"upstream": "replica-9"},
    "follows a server that settings do not know": {"upstream": ""},
    "on its command line": {"synchronous": "x", "synchronous_fixed": True},
}


@pytest.mark.parametrize("why", UNFIT)
async def test_people_are_paged_where_no_replica_can_take_over(working: Working, client: Client, why: str) -> None:
    world = FailingPrimary()
    world.standings = {"replica-1": standby(**UNFIT[why])}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert cause(failed.value).type == "Refused"
    assert why in cause(failed.value).message
    assert changed(world) == []
    assert [p.level for p in world.done("paging.page")] == [1, 2]
    assert not world.held


async def test_replicas_of_another_timeline_or_database_are_refused(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.standings = {"replica-1": standby("0/9000"), "replica-2": standby(timeline=2)}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        status = await waiting_for(handle, "decide failover-1")
        await decide(handle, "failover-1", "leave")
        await handle.result()
        world.standings = {"replica-1": standby(), "replica-2": standby(system_identifier="8")}
        other = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await other.result()
    assert "promote replica-2" in status.questions[0].title
    assert "system identifiers differ" in cause(failed.value).message


@pytest.mark.parametrize(
    ("promote", "said"),
    [("primary", "is the primary now"), ("spare-1", "is no replica"), ("replica-9", "Replicas: replica-1, replica-2")],
)
async def test_who_cannot_be_promoted_is_refused_at_once(
    working: Working, client: Client, promote: str, said: str
) -> None:
    world = FailingPrimary()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(promote=promote), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert cause(failed.value).type == "InvalidInput"
    assert said in cause(failed.value).message
    assert world.effects == []


@pytest.mark.parametrize("what", ["no database", "pointed elsewhere", "held"])
async def test_what_cannot_be_failed_over_is_refused_at_once(working: Working, client: Client, what: str) -> None:
    world = FailingPrimary()
    if what == "no database":
        world.service = world.service.model_copy(update={"database": None})
    elif what == "held":
        world.held[SECRET] = "restore-1"
    else:
        world.pointed = None
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    said = {"no database": "name no database", "held": "restore-1 changes where", "pointed elsewhere": "has none of"}
    assert said[what] in cause(failed.value).message
    assert world.effects == []


async def test_a_plan_changes_nothing_though_the_primary_answers(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.answering = [True]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(dry_run=True), NAME)
        result = await handle.result()
        timeline = await told(handle)
    assert world.effects == []
    assert not result["failed_over"]
    assert "a real run would end here" in timeline
    assert "would ask: Fence primary and promote replica-1?" in timeline
    for step in ("Fence primary: would", "Promote replica-1: would", "Point the service at replica-1: would"):
        assert step in timeline


# -- between the fence and the service's new database ------------------------------------------------------------


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
        world.during[while_] = lambda: world.unblock.wait(20)
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


# -- the old primary's return -------------------------------------------------------------------------------------


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


async def test_the_next_failure_is_the_next_failover_of_the_same_alert(temporal_address: str) -> None:
    # On a real server: after a run that continued as new, the test server sometimes answers no more.
    world, queue = FailingPrimary(), f"q-{uuid4()}"
    client = await connect(Temporal(address=temporal_address))
    async with build(client, Temporal(task_queue=queue), world.activities()):
        first = await begin(client, queue, DatabaseFailoverRequest(alert=alert()), NAME)
        await decide(first, "failover-1", "promote")
        await waiting_for(first, "decide return-1")
        await first.signal("alert", alert())  # repeated: this run has it
        world.standings = {"replica-2": standby(upstream="replica-1", timeline=2)}
        await first.signal("alert", alert(datetime(2026, 2, 4, 15, tzinfo=UTC)))
        following: Handle = client.get_workflow_handle(first.id)
        while (await following.describe()).run_id == first.first_execution_run_id:
            await asyncio.sleep(0.05)
        await decide(following, "failover-1", "promote")
        await decide(following, "return-1", "leave")
        result = await following.result()
    assert (result["old_primary"], result["primary"]) == ("replica-1", "replica-2")
    assert [p.server for p in world.done("replication.promote")] == ["replica-1", "replica-2"]
    assert len({r.incident_id for r in world.done("records.create_incident")}) == 2
    keys = [request.effect.key for _, request in world.effects]
    assert len(keys) == len(set(keys))
