"""DatabaseFailover's decisions before the fence: who is left alone, who is promoted, what is asked and refused."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.failover.failovers import CHANGES, NAME, alert, changed, decide
from tests.workflows.steering import begin, cause, told, waiting_for
from tests.workflows.worlds.failing_primary import SILENT, FailingPrimary, standby
from tests.workflows.worlds.pointed import SECRET
from workflows.disaster_recovery.failover.database_failover import DatabaseFailover, DatabaseFailoverRequest
from workflows.platform.approval import Decision


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
    # The other replica follows meanwhile.
    changes = changed(world)
    assert sorted(changes) == sorted(CHANGES)
    assert [one for one in changes if one != "replication.follow"] == [
        "database_hosts.fence",
        "replication.promote",
        "database_secrets.point",
        "kubernetes.restart_rollout",
    ]
    assert changes.index("replication.follow") > changes.index("replication.promote")
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


HOURS = {"delay": timedelta(hours=8), "replayed": "0/1000", "last_commit_at": SILENT - timedelta(hours=8)}
NOT_REPLAYING: dict[str, dict[str, Any]] = {
    "it is kept 8 h behind on purpose": HOURS,
    "its replay was paused by somebody": {"paused": True, "replayed": "0/1000"},
    "it has not replayed 8.0 KiB of": {"replayed": "0/1000", "last_commit_at": SILENT - timedelta(hours=8)},
    "it has not replayed 64.0 MiB of": {"received": "0/4003000", "replayed": "0/3000"},
}


@pytest.mark.parametrize("why", NOT_REPLAYING)
async def test_one_that_receives_and_does_not_replay_comes_last(working: Working, client: Client, why: str) -> None:
    world = FailingPrimary()
    world.standings["replica-1"] = standby(**NOT_REPLAYING[why])
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        status = await waiting_for(handle, "decide failover-1")
        await decide(handle, "failover-1", "leave")
        await handle.result()
        handle = await begin(client, queue, DatabaseFailoverRequest(promote="replica-1"), NAME)
        wanted = await waiting_for(handle, "decide failover-1")
        await decide(handle, "failover-1", "leave")
        await handle.result()
    (question,) = status.questions
    assert question.title == "Fence primary and promote replica-2?"
    assert question.recommended is None  # since another has more of the log
    assert any("replica-1 has more of the log" in line for line in question.evidence)
    assert wanted.questions[0].title == "Fence primary and promote replica-1?"
    assert wanted.questions[0].reason_for == ["promote"]
    assert any(why in line and "promotion replays" in line for line in wanted.questions[0].evidence)


async def test_what_is_a_moment_behind_in_replay_is_none_of_these(working: Working, client: Client) -> None:
    world = FailingPrimary()
    world.standings["replica-1"] = standby("0/4000", replayed="0/3000")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        status = await waiting_for(handle, "decide failover-1")
        await decide(handle, "failover-1", "leave")
        await handle.result()
    assert (status.questions[0].title, status.questions[0].recommended) == (
        "Fence primary and promote replica-1?",
        "promote",
    )


UNFIT: dict[str, dict[str, Any]] = {
    "`promote` = 'replica-1' takes it even so": HOURS,
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


@pytest.mark.parametrize("between", ["away", "there"])
async def test_one_that_has_the_log_from_another_replica_is_taken_by_its_name_alone(
    working: Working, client: Client, between: str
) -> None:
    """The site of the primary is lost, and the replica there with it."""
    world = FailingPrimary()
    fields = {"reachable": False, "trouble": "down"} if between == "away" else {"paused": True}
    world.standings = {"replica-1": standby(reachable=False, trouble="down")}
    world.standings["replica-2"] = standby("0/2000", upstream="replica-1")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        world.standings["replica-1"] = standby(**fields)
        handle = await begin(client, queue, DatabaseFailoverRequest(promote="replica-2"), NAME)
        status = await waiting_for(handle, "decide failover-1")
        await decide(handle, "failover-1", "promote", "the site is lost")
        await decide(handle, "return-1", "leave")
        result = await handle.result()
    (question,) = status.questions
    assert (question.title, question.recommended) == ("Fence primary and promote replica-2?", None)
    assert question.reason_for == ["promote"]
    assert any("it follows replica-1, and primary only through that" in line for line in question.evidence)
    assert (result["primary"], result["old_primary_is"]) == ("replica-2", "fenced")
    assert "replica-2: follows replica-1, not primary; `promote` takes it by its name" in cause(failed.value).message


async def test_nobody_is_promoted_beside_one_that_somebody_has_promoted(working: Working, client: Client) -> None:
    """The Secret still names the old primary; the other replica still follows it, and would be asked for."""
    world = FailingPrimary()
    world.standings["replica-2"] = standby(in_recovery=False, replayed=None, upstream=None, timeline=2)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, DatabaseFailoverRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "replica-2 takes writes already" in cause(failed.value).message
    assert changed(world) == []
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
