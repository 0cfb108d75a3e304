"""A person takes an incident over: the run watches, records and reminds, and nobody else is paged for it."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.service import IncidentPolicy
from tests.company.pods import pod
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import CLOSING, abandon, close, start, texts, until
from tests.workflows.steering import cancel
from tests.workflows.worlds.world import World
from workflows.incident_response.command import HandBack, TakeOver
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.platform.approval import Decision

ADA = {"who": "ada", "role": "commander"}
NONE = Decision(**ADA, question="mitigation-1", choice="none", reason="I am on it")


def levels(world: World) -> list[int]:
    return [page.level for page in world.done("paging.page")]


async def test_who_has_it_is_reminded_and_nobody_else_is_paged(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        await handle.execute_update(P1Incident.take_over, TakeOver(**ADA, reason="failing the network over"))
        await time_skipping.sleep(timedelta(hours=2))
        status = await handle.query(P1Incident.status)
        assert status.questions == []
        assert "ada (commander) has it" in status.board
        assert {clock.name for clock in status.clocks if clock.missed} == {"Mitigated", "Stable"}
        assert levels(world) == [1]
        said = [post.text for post in world.done("slack.post")]
        assert 3 <= sum(":alarm_clock: ada (commander) has" in text for text in said) <= 4
        assert not world.done("kubernetes.undo_rollout")
        assert not world.done("statuspage.update")
        # It is healthy by their doing: seen, recorded, and theirs to close.
        world.cure("restart")
        await time_skipping.sleep(timedelta(minutes=20))
        result = await close(handle)
    assert result.mitigations == []
    assert result.mitigated_after is not None
    (acknowledged,) = world.done("paging.acknowledge")
    assert acknowledged.by == "ada (commander)"
    assert any("failing the network over" in note.text for note in world.done("records.note_incident"))
    assert not world.done("statuspage.update"), "they speak"


async def test_what_is_given_back_goes_on_by_itself(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve", decision_timeout=timedelta(hours=1)))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(P1Incident.hand_back, HandBack(**ADA))
        assert "nobody has taken" in str(refused.value.cause)
        await handle.execute_update(P1Incident.take_over, TakeOver(**ADA))
        await time_skipping.sleep(timedelta(minutes=5))
        bob = {"who": "bob", "role": "on-call"}
        await handle.execute_update(P1Incident.take_over, TakeOver(**bob))
        assert "bob (on-call) has it" in (await handle.query(P1Incident.status)).board
        await handle.execute_update(P1Incident.hand_back, HandBack(**bob, reason="no idea"))
        await until(handle, "decide mitigation-2")
        again = NONE.model_copy(update={"question": "mitigation-2", "choice": "rollback"})
        await handle.execute_update(P1Incident.decide, again)
        result = await close(handle)
    assert result.mitigations == ["rollback"]


async def test_taken_over_an_automatic_run_does_no_more(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(decision_timeout=timedelta(hours=1)))
    world.bad_release()
    world.cures = set()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        await handle.execute_update(P1Incident.take_over, TakeOver(**ADA))
        world.saturation, world.crashing = 1.0, False  # what asks for more replicas, and plainly
        await handle.signal("alerts", [pod(2)])
        await time_skipping.sleep(timedelta(minutes=40))
        assert not world.done("kubernetes.scale")
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        assert (await handle.result()).mitigations == ["rollback"]


async def test_only_who_may_mitigate_takes_over(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(P1Incident.take_over, TakeOver(who="eve", role="intern"))
        assert "may not mitigate" in str(refused.value.cause)
        await close(handle)


async def test_a_no_is_not_asked_again_until_something_else_is_proposed(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve", decision_timeout=timedelta(hours=9)))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        await handle.execute_update(P1Incident.decide, NONE)
        for number in range(2, 5):
            await handle.signal("alerts", [pod(number)])  # more of the same trouble is no other question
            await time_skipping.sleep(timedelta(minutes=40))
        asked = [post for post in world.done("slack.post") if "Which mitigation?" in post.text]
        assert len(asked) == 1
        world.crashing, world.saturation = False, 1.0
        await time_skipping.sleep(timedelta(minutes=40))
        status = await until(handle, "decide mitigation-2")
        assert status.questions[0].recommended != "none"
        await abandon(handle)


async def test_a_no_holds_where_facts_are_plain(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    """What a person has declined isn't done by itself as soon as it is clear."""
    world = World(IncidentPolicy(decision_timeout=timedelta(hours=9)))
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        await handle.execute_update(P1Incident.decide, NONE)
        world.break_down()
        await time_skipping.sleep(timedelta(minutes=40))
        assert (await until(handle, "decide mitigation-2")).questions[0].recommended == "restart"
        assert not world.done("kubernetes.restart_rollout")
        await abandon(handle)


async def test_escalation_has_a_highest_level(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve", highest_page=2))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        await time_skipping.sleep(timedelta(hours=3))
        assert levels(world) == [1, 2]
        said = [post.text for post in world.done("slack.post")]
        assert any("Level 2, the highest, has been paged already" in text for text in said)
        await abandon(handle)


async def test_cancelled_its_pages_its_entry_and_its_questions_are_closed(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        await time_skipping.sleep(timedelta(minutes=16))  # the public has been told by then
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        status = await handle.query(P1Incident.status)
    assert (status.questions, status.waiting_for, status.outcome) == ([], "", "cancelled")
    (resolved,) = world.done("paging.resolve")
    assert resolved.levels == max(levels(world))
    assert [one.status for one in world.done("statuspage.update")] == ["Investigating", "Resolved"]
    assert "continues to work on the service" in world.done("statuspage.update")[-1].message


async def test_closed_by_who_has_it(working: Working, client: Client, time_skipping: WorkflowEnvironment) -> None:
    """As soon as it is healthy; the run need not have seen it hold."""
    world = World(IncidentPolicy(mitigation="approve"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        await handle.execute_update(P1Incident.take_over, TakeOver(**ADA))
        await asyncio.sleep(0.1)
        world.cure("restart")
        await handle.execute_update(P1Incident.close, CLOSING)
        result = await handle.result()
        told = texts(await handle.query(P1Incident.status))
    assert (result.outcome, result.healthy) == ("closed", True)
    assert "although" not in told
