"""P1Incident with the time-skipping server: what it decides, whom it asks, and what it never does twice."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.run_ids import run_id
from activities.catalogue.service import IncidentPolicy
from tests.replay.cases import has_several_alerts_and_a_relapse
from tests.workflows.conftest import Working
from tests.workflows.incident_response.p1.runs import MOST_MESSAGES, abandon, close, firing, start, texts, until
from tests.workflows.steering import SERVICE, cancel
from tests.workflows.steering import until as reached
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Incident, P1Request, P1Result


async def test_a_bad_release_is_rolled_back_and_everything_is_told_once(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        result = await close(handle)
    assert result.outcome == "closed"
    assert result.mitigations == ["rollback"]
    assert [request.to_revision for request in world.done("kubernetes.undo_rollout")] == [1]
    assert not world.done("kubernetes.restart_rollout") + world.done("kubernetes.scale")
    for once in (
        "records.acknowledge_alert",
        "records.create_incident",
        "paging.page",
        "paging.resolve",
        "records.close_incident",
        "records.schedule_post_mortem",
        "slack.schedule",
    ):
        assert len(world.done(once)) == 1, once
    assert [request.status for request in world.done("statuspage.update")] == ["Identified", "Resolved"]
    keys = [request.effect.key for _, request in world.effects]
    assert len(keys) == len(set(keys))
    incident = world.done("records.create_incident")[0]
    assert incident.title == "API down"
    assert incident.commander == "oncall@tensafe.io"


async def test_an_alerts_text_mentions_nobody_and_is_not_published(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    text = "<!channel> p99 > 2s & errors <5%>\n*Approved* on db-7.internal <https://elsewhere.example|acknowledge here>"
    alert = firing().model_copy(update={"annotations": {"summary": text}})
    async with working(world.activities()) as queue:
        await close(await start(client, queue, P1Request(alert=alert)))
    said = [request.text for name in ("slack.post", "slack.schedule") for request in world.done(name)]
    assert any("&lt;!channel&gt; p99 &gt; 2s &amp; errors" in text for text in said)
    assert not any("<" in text for text in said)
    assert not any("\n*Approved" in text for text in said)
    assert sum("\n&gt; *Approved* on db-7" in text for text in said) == 1
    public = [(request.title, request.message) for request in world.done("statuspage.update")]
    assert public == [
        ("TenSafe: service disruption", "Issue identified, implementing fix"),
        ("TenSafe: service disruption", "The incident has been resolved."),
    ]


async def test_the_post_mortem_is_tomorrow_at_ten_in_the_services_zone(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await close(handle)
        closed_at = (await handle.describe()).close_time
    (scheduled,) = world.done("records.schedule_post_mortem")
    assert closed_at is not None
    local = scheduled.scheduled_for.astimezone(__import__("zoneinfo").ZoneInfo("Europe/Berlin"))
    assert (local.hour, local.minute) == (10, 0)
    assert local.date() == closed_at.astimezone(local.tzinfo).date() + timedelta(days=1)
    draft = next(r for r in world.done("evidence.store_document") if r.name == "post-mortem.md")
    assert "Rolled back to v1.2.3" in draft.content
    assert "Bad release v1.2.4" in draft.content


async def test_a_service_that_a_run_keeps_stopped_is_left_to_it(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World()
    world.bad_release()
    world.saturation, world.stopped_by = 1.0, "point-in-time-restore/x"
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await reached(handle, lambda status: "is kept stopped by" in texts(status))
        world.healthy, world.crashing, world.ready = True, False, 3
        world.bring_back(await time_skipping.get_current_time())
        result = await close(handle)
        timeline = texts(await handle.query(P1Incident.status))
    assert result.mitigations == []
    assert not [name for name, _ in world.effects if name.startswith("kubernetes.")]
    assert len([post for post in world.done("slack.post") if "point-in-time-restore/x" in post.text]) == 1
    assert timeline.count("is kept stopped by point-in-time-restore/x until 2026-02-05 00:00:00 UTC") == 1


async def test_a_service_that_a_run_has_just_brought_back_is_left_to_it(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World()
    world.healthy, world.ready, world.saturation = False, 0, 1.0
    world.brought_back = ("point-in-time-restore/x", await time_skipping.get_current_time())
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await reached(handle, lambda status: "point-in-time-restore/x, which has brought it back" in texts(status))
        world.healthy, world.ready, world.saturation = True, 3, 0.2
        result = await close(handle)
    assert result.mitigations == []
    assert not [name for name, _ in world.effects if name.startswith("kubernetes.")]


async def test_of_a_false_alarm_nobody_outside_hears(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        await handle.signal(P1Incident.alert, firing(datetime(2026, 2, 4, 5, tzinfo=UTC)))
        result = await close(handle)
    assert (result.outcome, result.mitigations, result.healthy) == ("closed", [], True)
    assert not world.done("statuspage.update")
    assert not [post for post in world.done("slack.post") if post.channel in world.service.stakeholders]
    said = [post.text for post in world.done("slack.post")]
    assert sum("says it is healthy: nothing was done" in text for text in said) == 1
    assert not any("healthy again" in text for text in said)


async def test_an_outage_of_the_records_delays_nothing_and_loses_nothing(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    world.down = {"records"}
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        status = await until(handle, "close")
        assert "Unavailable" in texts(status)
        assert len(world.done("kubernetes.undo_rollout")) == 1
        assert not world.done("records.create_incident")
        world.down = set()
        await close(handle)
    assert len(world.done("records.create_incident")) == 1
    assert len(world.done("records.acknowledge_alert")) == 1
    assert len(world.done("records.close_incident")) == 1


@pytest.mark.parametrize(
    ("away", "later"),
    [
        ("slack", "slack.post"),
        ("paging", "paging.page"),
        ("statuspage", "statuspage.update"),
        ("evidence", "evidence.store_document"),
    ],
)
async def test_an_outage_of_messages_or_of_the_object_store_delays_no_mitigation(
    working: Working, client: Client, away: str, later: str
) -> None:
    world = World()
    world.bad_release()
    world.down = {away}
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        status = await until(handle, "close")
        assert len(world.done("kubernetes.undo_rollout")) == 1
        assert not world.done(later)
        assert "Unavailable" in texts(status)
        world.down = set()
        result = await close(handle)
    assert result.outcome == "closed"
    assert world.done(later)


async def test_an_unreachable_cluster_is_put_before_a_person(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    world.down = {"kubernetes"}
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        status = await until(handle, "decide mitigation-1")
        assert list(status.questions[0].options) == ["none"]
        assert any("pods: could not be read" in line for line in status.questions[0].evidence)
        await abandon(handle)


async def test_cancelling_says_so_everywhere_and_ends_cancelled(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failure:
            await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert [request.milestone for request in world.done("records.mark_incident")][-1] == "cancelled"
    assert len(world.done("paging.resolve")) == 1
    assert not world.done("statuspage.update"), "the public has heard nothing of it"


async def test_plan_mode_changes_nothing_and_says_would(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue, P1Request(alert=firing(), dry_run=True))
        result = await handle.result()
        status = await handle.query(P1Incident.status)
    assert result.outcome == "planned"
    assert world.effects == []
    assert "Roll back: would" in texts(status)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([{"service": "billing"}], "Known services: tensafe-server"),
        ([{"servce": "tensafe-server"}], "servce: there is no such field"),
        ([{"dry_run": "perhaps"}], "dry_run:"),
        (["tensafe-server"], "input:"),
        ([None], "null"),
        ([{}, {}], "one JSON object"),
    ],
)
async def test_bad_input_fails_at_once_and_touches_nothing(
    working: Working, client: Client, given: list[object], says: str
) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await client.start_workflow("P1Incident", args=given, id=f"p1-{uuid4()}", task_queue=queue)
        with pytest.raises(WorkflowFailureError) as failure:
            await handle.result()
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "InvalidInput"
    assert says in cause.message
    assert "perhaps" not in cause.message
    assert world.effects == []


async def test_an_empty_box_is_enough(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await client.start_workflow("P1Incident", id=run_id("p1-incident", SERVICE), task_queue=queue)
        typed: WorkflowHandle[P1Incident, P1Result] = client.get_workflow_handle_for(P1Incident.run, handle.id)
        result = await close(typed)
    assert result.service == "tensafe-server"


async def test_an_incident_that_comes_back_posts_no_more_than_people_read(working: Working, client: Client) -> None:
    """Two alerts, a relapse, a question and its answer, and the close: twelve messages at most, and nothing unsaid."""
    world = World(IncidentPolicy(decision_timeout=timedelta(hours=1)))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await has_several_alerts_and_a_relapse(handle, world)
        assert (await handle.result()).outcome == "closed"
        said = [post.text for post in world.done("slack.post")]
        assert len(said) <= MOST_MESSAGES, said
        for part in ("joins", "is healthy again (rollback done)", "can be closed", "down again", "Which mitigation?"):
            assert any(part in text for text in said), (part, said)
        assert sum("can be closed when the cause is known: `runbooks close`" in text for text in said) == 2
