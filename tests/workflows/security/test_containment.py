"""Nothing that is suspected moves before its evidence is safe, and then only by the word of two people."""

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.security.incidents import NAME, REQUEST, both_say, says
from tests.workflows.steering import begin, told, waiting_for
from tests.workflows.worlds.breached import Breached, pod


async def test_evidence_is_safe_before_two_persons_have_anything_moved(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        status = await waiting_for(handle, "decide drain-1")
        assert world.order == ["isolate", "keep", "verify"]
        (question,) = status.questions
        assert question.two_persons
        assert "no controller brings it back" in str(question.evidence)
        await says(handle, "ada", "drain-1", "force", "the evidence is kept")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await says(handle, "ada", "drain-1", "force", "me again")
        assert "second person" in str(refused.value.cause)
        assert world.done("draining.evict") == []
        await says(handle, "bob", "drain-1", "force", "so it is")
        await waiting_for(handle, "decide return")
        assert world.cordoned
        await says(handle, "ada", "return", "uncordon")
        result = await handle.result()
    assert (result["outcome"], result["nodes"], result["moved"], result["left"]) == ("contained", "uncordon", 2, [])
    assert not world.cordoned
    assert world.order == ["isolate", "keep", "verify", "evict"]
    kept = {ref.uid for request in world.done("forensics.keep") for ref in request.pods}
    assert {ref.uid for request in world.done("draining.evict") for ref in request.pods} <= kept


async def test_what_would_be_lost_stays_unless_it_is_forced(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await both_say(handle, "drain-1", "drain")
        status = await waiting_for(handle, "decide drain-2")
        assert list(status.questions[0].options) == ["force", "leave"]
        await says(handle, "ada", "drain-2", "leave")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "return", "replace")
        result = await handle.result()
    assert (result["outcome"], result["moved"], result["nodes"]) == ("isolated", 1, "replace")
    assert "bare" in result["left"][0]
    assert world.cordoned


async def test_who_blocks_is_named_and_asked_about(working: Working, client: Client) -> None:
    world = Breached()
    world.budget = "blocked by PodDisruptionBudget careful (2 healthy, needs 2)"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await both_say(handle, "drain-1", "force")
        status = await waiting_for(handle, "decide drain-2")
        assert "careful" in str(status.questions[0].evidence)
        world.budget = ""
        await both_say(handle, "drain-2", "force")
        result = await handle.result()
    assert (result["outcome"], result["nodes"]) == ("contained", "leave")
    assert world.cordoned


async def test_a_pod_that_came_since_goes_only_when_its_evidence_is_kept(working: Working, client: Client) -> None:
    world = Breached()
    world.arrives = [pod("late")]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await both_say(handle, "drain-1", "force")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "return", "leave")
        result = await handle.result()
    assert world.order == ["isolate", "keep", "verify", "keep", "verify", "evict"]
    assert len(result["manifests"]) == 2
    assert result["moved"] == 3


async def test_evidence_that_does_not_verify_moves_nothing(working: Working, client: Client) -> None:
    world = Breached()
    world.verifies = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide evidence-1")
        await says(handle, "ada", "evidence-1", "leave")
        await waiting_for(handle, "decide return")
        await says(handle, "ada", "return", "leave")
        result = await handle.result()
        assert "does NOT verify" in await told(handle)
    assert result["outcome"] == "isolated"
    assert world.done("draining.evict") == []


async def test_nobody_answering_leaves_everything_held(working: Working, client: Client) -> None:
    world = Breached()
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, REQUEST, NAME)).result()
    assert (result["outcome"], result["nodes"]) == ("isolated", "leave")
    assert world.cordoned
    assert world.isolated
    assert world.done("draining.evict") == []
    assert len(world.done("paging.page")) >= 3
