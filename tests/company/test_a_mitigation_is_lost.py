"""What was mitigated can be lost again: it is told, recorded, and its clock runs anew."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.service import IncidentPolicy
from tests.company.pods import pod
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import CLOSING, close, start, texts, until
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Incident, P1Request, P1Result
from workflows.platform.approval import Decision

P1Handle = WorkflowHandle[P1Incident, P1Result]
RESTART = Decision(who="ada", role="commander", question="mitigation-1", choice="restart")


async def mitigated_and_lost(world: World, handle: P1Handle, clock: WorkflowEnvironment, *, by_alert: bool) -> None:
    """The rollback helps for ten minutes."""
    await until(handle, "close")
    await clock.sleep(timedelta(minutes=10))
    world.break_down()
    world.cures = {"restart"}
    if by_alert:
        await handle.signal("alerts", [pod(7, minutes=30)])
    else:
        await clock.sleep(timedelta(minutes=3))
    await until(handle, "decide mitigation-1")


@pytest.mark.parametrize("by_alert", [True, False])
async def test_a_relapse_is_told_and_both_times_are_kept(
    working: Working, client: Client, time_skipping: WorkflowEnvironment, *, by_alert: bool
) -> None:
    world = World(IncidentPolicy(decision_timeout=timedelta(hours=5)))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await mitigated_and_lost(world, handle, time_skipping, by_alert=by_alert)
        mitigated = next(one for one in (await handle.query(P1Incident.status)).clocks if one.name == "Mitigated")
        assert mitigated.met_at is None
        (lapse,) = mitigated.lapses
        assert timedelta(minutes=8) < lapse.lost_at - lapse.met_at < timedelta(minutes=15)
        assert mitigated.due_at == lapse.lost_at + world.service.incident.mitigate_within
        await handle.execute_update(P1Incident.decide, RESTART)
        result = await close(handle)
        told = texts(await handle.query(P1Incident.status))
    assert result.mitigations == ["rollback", "restart"]
    assert [one.met_at for one in result.lapses] == [lapse.met_at]
    assert result.mitigated_after is not None
    assert result.mitigated_after > timedelta(minutes=10)
    assert "Mitigated lost at" in told
    assert "Mitigated again after" in told
    (record,) = world.done("records.relapse_incident")
    assert (record.mitigated_at, record.lost_at) == (lapse.met_at, lapse.lost_at)
    assert [one.milestone for one in world.done("records.mark_incident")].count("mitigated") == 2
    assert [one.status for one in world.done("statuspage.update")] == [
        "Identified",
        "Investigating",
        "Identified",
        "Resolved",
    ]
    assert any("the service is down again" in one.text for one in world.done("slack.post"))
    draft = next(one.content for one in world.done("evidence.store_document") if one.name == "post-mortem.md")
    assert f"{lapse.met_at:%H:%M:%S}, lost at {lapse.lost_at:%H:%M:%S}" in draft


async def test_the_clock_of_a_relapse_can_be_missed(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(decision_timeout=timedelta(hours=5)))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await mitigated_and_lost(world, handle, time_skipping, by_alert=True)
        while len(world.done("paging.page")) < 2:  # the relapse itself
            await asyncio.sleep(0.02)
        await time_skipping.sleep(timedelta(minutes=16))
        (mitigated,) = [one for one in (await handle.query(P1Incident.status)).clocks if one.name == "Mitigated"]
        assert mitigated.missed
        assert [page.level for page in world.done("paging.page")] == [1, 2, 3]
        await handle.terminate()


async def test_a_blip_after_a_mitigation_is_no_relapse(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World()
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "close")
        await handle.signal("alerts", [pod(2, minutes=9)])
        while len(world.done("records.acknowledge_alert")) < 2:
            await asyncio.sleep(0.02)
        result = await close(handle)
    assert result.lapses == []
    assert not world.done("records.relapse_incident")
    assert [one.status for one in world.done("statuspage.update")] == ["Identified", "Resolved"]


async def test_closed_while_it_is_lost_the_record_says_so(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(decision_timeout=timedelta(hours=5)))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await mitigated_and_lost(world, handle, time_skipping, by_alert=True)
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        result = await handle.result()
        outcome = (await handle.query(P1Incident.status)).outcome
    assert (result.healthy, result.mitigated_after, outcome) == (False, None, "closed, not healthy")
    assert "Resolved" not in [one.status for one in world.done("statuspage.update")]
