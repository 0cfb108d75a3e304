"""Mitigations of 2.2: what is clear is done, what is not is asked about, and nothing is tried twice."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.service import IncidentPolicy
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import abandon, close, start, until
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Incident
from workflows.platform.approval import Decision


async def test_crash_loops_without_a_rollout_are_restarted(working: Working, client: Client) -> None:
    world = World()
    world.break_down()
    async with working(world.activities()) as queue:
        result = await close(await start(client, queue))
    assert result.mitigations == ["restart"]


async def test_saturation_with_healthy_pods_is_scaled(working: Working, client: Client) -> None:
    world = World()
    world.healthy = False
    world.saturation = 0.97
    async with working(world.activities()) as queue:
        result = await close(await start(client, queue))
    assert result.mitigations == ["scale"]
    assert world.done("kubernetes.scale")[0].replicas == 10


async def test_what_is_unclear_is_asked_and_the_answer_is_done(working: Working, client: Client) -> None:
    world = World()
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        status = await until(handle, "decide mitigation-1")
        (question,) = status.questions
        assert set(question.options) == {"restart", "scale", "none"}
        assert question.recommended == "none"
        decision = Decision(
            who="ada", role="commander", question=question.id, choice="restart", subject=question.subject
        )
        await handle.execute_update(P1Incident.decide, decision)
        result = await close(handle)
    assert result.mitigations == ["restart"]
    assert any("Which mitigation?" in request.text for request in world.done("slack.post"))


async def test_policy_approve_asks_even_when_it_is_clear(working: Working, client: Client) -> None:
    world = World(IncidentPolicy(mitigation="approve"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        (question,) = (await until(handle, "decide mitigation-1")).questions
        assert question.recommended == "rollback"
        assert not world.done("kubernetes.undo_rollout")
        await handle.execute_update(
            P1Incident.decide, Decision(who="ada", role="on-call", question=question.id, choice="rollback")
        )
        result = await close(handle)
    assert result.mitigations == ["rollback"]


async def test_no_answer_escalates_once_and_takes_the_safe_default(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve", safe_default="rollback"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        await time_skipping.sleep(timedelta(minutes=6))
        assert [request.level for request in world.done("paging.page")] == [1, 2]
        assert not world.done("kubernetes.undo_rollout")
        await time_skipping.sleep(timedelta(minutes=6))
        result = await close(handle)
    assert result.mitigations == ["rollback"]
    assert [request.level for request in world.done("paging.page")] == [1, 2]


async def test_a_failed_mitigation_is_not_tried_again(working: Working, client: Client) -> None:
    world = World(IncidentPolicy(safe_default="rollback", verify_timeout=timedelta(minutes=1)))
    world.cures = {"restart"}
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        status = await until(handle, "decide mitigation-1")
        assert "rollback" not in status.questions[0].options
        await handle.execute_update(
            P1Incident.decide,
            Decision(who="ada", role="commander", question="mitigation-1", choice="restart"),
        )
        result = await close(handle)
    assert result.mitigations == ["rollback", "restart"]


async def test_never_more_mitigations_than_settings_allow(working: Working, client: Client) -> None:
    world = World(IncidentPolicy(max_mitigations=1))
    world.cures = set()
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        status = await until(handle, "decide mitigation-1")
        assert list(status.questions[0].options) == ["none"]
        await abandon(handle)
