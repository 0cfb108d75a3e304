"""Which replica takes over: the one with most of the log, and only one that can."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.failover.failovers import CHANGES, NAME, alert, changed, decide
from tests.workflows.steering import begin, cause, waiting_for
from tests.workflows.worlds.failing_primary import SILENT, FailingPrimary, standby
from workflows.disaster_recovery.failover.database_failover import DatabaseFailoverRequest


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
