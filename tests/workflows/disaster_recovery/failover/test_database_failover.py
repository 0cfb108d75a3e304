"""DatabaseFailover's decisions before the fence: who is left alone, who is promoted, what is asked and refused."""

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.failover.failovers import NAME, changed, decide
from tests.workflows.steering import begin, cause, told, waiting_for
from tests.workflows.worlds.failing_primary import FailingPrimary
from tests.workflows.worlds.pointed import SECRET
from workflows.disaster_recovery.failover.database_failover import DatabaseFailover, DatabaseFailoverRequest
from workflows.platform.approval import Decision


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
