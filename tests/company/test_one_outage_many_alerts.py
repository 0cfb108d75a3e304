"""One outage is one incident, however many alerts, posts and people tell of it."""

import asyncio

from temporalio.client import Client

from activities.catalogue.service import IncidentPolicy
from tests.company.pods import pod
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import close, start, texts, until
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Incident, P1Request


async def test_the_alerts_of_five_pods_are_one_incident(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    five = [pod(number) for number in range(5)]
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=five[0]))
        await handle.signal("alerts", five)
        await handle.signal("alerts", five)  # the second Prometheus' Alertmanager sends the same
        result = await close(handle)
    assert result.mitigations == ["rollback"]
    for once in ("records.create_incident", "paging.page", "kubernetes.undo_rollout"):
        assert len(world.done(once)) == 1, once
    assert sorted(one.alert.fingerprint for one in world.done("records.acknowledge_alert")) == [
        f"f{number}" for number in range(5)
    ]
    (told,) = [post.text for post in world.done("slack.post") if ":link:" in post.text]
    assert "KubePodCrashLooping (tensafe-server-4)" in told


async def test_one_alert_that_ends_does_not_end_the_question(working: Working, client: Client) -> None:
    world = World(IncidentPolicy(mitigation="approve"))
    world.bad_release()
    two = [pod(1), pod(2, name="TargetDown")]
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=two[0]))
        await handle.signal("alerts", two)
        await until(handle, "decide mitigation-1")
        await handle.signal("alerts", [pod(1, status="resolved")])
        await handle.signal("alerts", [pod(7, status="resolved")])  # one that this incident never had
        while len(world.done("records.resolve_alert")) < 1:
            await asyncio.sleep(0.02)
        status = await handle.query(P1Incident.status)
        assert status.waiting_for == "decide mitigation-1"
        assert "still firing: TargetDown (tensafe-server-2)" in texts(status)
        world.cure("restart")
        await handle.signal("alerts", [pod(2, status="resolved", name="TargetDown")])
        assert (await close(handle)).mitigations == []
    assert [one.fingerprint for one in world.done("records.resolve_alert")] == ["f1", "f2"]


async def test_a_pod_that_crashes_again_counts_once(working: Working, client: Client) -> None:
    """The end of its first firing, which comes late, says nothing of the second."""
    world = World(IncidentPolicy(mitigation="approve"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "decide mitigation-1")
        await handle.signal("alerts", [pod(1, minutes=5)])
        await handle.signal("alerts", [pod(1, status="resolved")])
        while len(world.done("records.resolve_alert")) < 1:
            await asyncio.sleep(0.02)
        assert (await handle.query(P1Incident.status)).waiting_for == "decide mitigation-1"
        world.cure("restart")
        await handle.signal("alerts", [pod(1, minutes=5, status="resolved")])
        await close(handle)
    assert len(world.done("records.acknowledge_alert")) == 2


async def test_a_firing_whose_end_came_first_is_no_news(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        await until(handle, "close")
        await handle.signal("alerts", [pod(2, status="resolved")])
        await handle.signal("alerts", [pod(2)])
        await close(handle)
    assert [one.alert.fingerprint for one in world.done("records.acknowledge_alert")] == ["f1"]
    assert not world.done("records.resolve_alert")


async def test_an_alert_that_comes_while_logs_are_kept_is_looked_at(working: Working, client: Client) -> None:
    """It came after health was verified, so it may be news."""
    world = World()
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=pod(1)))
        while not world.done("evidence.export_metrics"):
            await asyncio.sleep(0.01)
        world.break_down()
        world.cures = {"restart"}
        await handle.signal("alerts", [pod(2)])
        await until(handle, "decide mitigation-1")
        await handle.terminate()


async def test_a_storm_is_one_incident_and_loses_no_alert(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    storm = [pod(number) for number in range(130)]
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=storm[0]))
        await handle.signal("alerts", storm)
        await close(handle)
        memo = await (await handle.describe()).memo()
    assert len(world.done("records.acknowledge_alert")) == len(memo["episodes"]) == 130
    assert len(world.done("records.create_incident")) == 1
    (told,) = [post.text for post in world.done("slack.post") if ":link:" in post.text]
    assert told.endswith("and 124 more")
