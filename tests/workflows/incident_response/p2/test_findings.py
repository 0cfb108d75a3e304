"""Findings of 2.3 that people decide about, and are asked once."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import Working
from tests.workflows.incident_response.p2.runs import ADA, NAME, REQUEST, outcome
from tests.workflows.steering import begin, until, waiting_for
from tests.workflows.worlds.degraded import Degraded
from workflows.platform.approval import Decision


async def test_while_a_dependency_is_down_people_decide(working: Working, client: Client) -> None:
    world = Degraded()
    world.dependency_down = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        status = await waiting_for(handle, "decide fix-1")
        (question,) = status.questions
        world.well()
        await handle.execute_update("decide", Decision(**ADA, question="fix-1", choice="watch"))
        result = await outcome(handle)
    assert question.recommended == question.default == "watch"
    assert result.reasons[0] == "dependency"
    assert not world.done("kubernetes.scale")


async def test_a_young_release_is_suspected_and_a_person_rolls_it_back(working: Working, client: Client) -> None:
    world = Degraded()
    world.released(timedelta(minutes=5))
    world.cures = {"rollback"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        (question,) = (await waiting_for(handle, "decide fix-1")).questions
        await handle.execute_update("decide", Decision(**ADA, question="fix-1", choice="rollback"))
        result = await outcome(handle)
    assert question.recommended == "rollback"
    assert [request.to_revision for request in world.done("kubernetes.undo_rollout")] == [1]
    assert (result.outcome, result.reasons, result.fixes) == ("resolved", ["recent_release"], ["rollback"])


async def test_nobody_is_asked_the_same_twice(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = Degraded()
    world.dependency_down, world.lasts_from = True, 4
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide fix-1")
        for _ in range(2):  # the escalation, and the default
            await time_skipping.sleep(timedelta(minutes=5, seconds=1))
        await until(handle, lambda _: world.watches >= 4)
        world.well()
        await outcome(handle)
    asked = [request for request in world.done("slack.post") if request.text.startswith(":question:")]
    assert len(asked) == 1
    assert len(world.done("paging.page")) <= 3, "begun, not answered, and an hour is over"
