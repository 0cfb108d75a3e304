"""P1Incident with the time-skipping server: what it decides, whom it asks, and what it never does twice."""

import base64
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.run_ids import run_id
from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from activities.monitoring.health import Health, Steadiness, SteadyRequest
from activities.records.alerts import Alert
from tests.replay.cases import has_several_alerts_and_a_relapse
from tests.workflows.conftest import Working
from tests.workflows.steering import SERVICE, cancel, comes, goes_on, quiet
from tests.workflows.steering import until as reached
from tests.workflows.worlds.world import World, instead
from workers.clients import connect
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident, P1Request, P1Result
from workflows.platform.approval import Decision
from workflows.platform.run_status import Note, RunStatus
from workflows.platform.signing import sign

MOST_MESSAGES = 12
"""That a P1 posts: a channel with more of them is read by nobody."""

CLOSING = Closing(who="ada", role="commander", resolution="Rolled back to v1.2.3", root_cause="Bad release v1.2.4")


def firing(starts_at: datetime | None = None) -> Alert:
    return Alert(
        source="alertmanager",
        fingerprint="f00",
        name="TensafeServerDown",
        starts_at=starts_at or datetime(2026, 2, 4, 3, tzinfo=UTC),
        annotations={"summary": "API down"},
    )


async def start(client: Client, queue: str, request: P1Request | None = None) -> WorkflowHandle[P1Incident, P1Result]:
    request = request or P1Request(alert=firing())
    own = request.alert is None and not request.dry_run
    return await client.start_workflow(
        P1Incident.run,
        request,
        id=run_id("p1-incident", SERVICE) if own else f"p1-{uuid4()}",
        task_queue=queue,
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
    )


async def until(handle: WorkflowHandle[P1Incident, P1Result], waiting_for: str) -> RunStatus:
    return await reached(handle, lambda status: status.waiting_for == waiting_for)


async def abandon(handle: WorkflowHandle[P1Incident, P1Result]) -> None:
    """End a run that nobody closes."""
    await quiet(handle)
    await handle.terminate()


async def close(handle: WorkflowHandle[P1Incident, P1Result]) -> P1Result:
    await until(handle, "close")
    await handle.execute_update(P1Incident.close, CLOSING)
    return await handle.result()


def texts(status: RunStatus) -> str:
    return "\n".join(entry.text for entry in status.entries)


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


async def test_a_healthy_service_is_left_alone(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        result = await close(await start(client, queue, P1Request()))
    assert result.mitigations == []
    assert not [name for name, _ in world.effects if name.startswith("kubernetes.")]


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


async def test_nobodys_default_is_not_done_to_a_service_that_is_healthy_by_then(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve", safe_default="rollback"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        world.healthy, world.crashing, world.ready = True, False, 3
        await time_skipping.sleep(timedelta(minutes=12))
        await until(handle, "close")
        result = await close(handle)
    assert result.mitigations == []
    assert not world.done("kubernetes.undo_rollout")


async def test_where_health_can_not_be_had_rounds_do_not_race(working: Working, client: Client) -> None:
    world = World()
    world.healthy, world.stopped_by = False, "a-restore"
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await quiet(handle)
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        await handle.result()
        assert (await handle.describe()).history_length < 250


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


async def test_one_good_answer_is_no_mitigation(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    world.blips = 1
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await close(handle)
        entries = (await handle.query(P1Incident.status)).entries
    told = [entry.text for entry in entries]
    mitigated = next(place for place, text in enumerate(told) if text.startswith("Mitigated after"))
    assert sum("Steady health" in text for text in told[:mitigated]) == 2


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


async def test_the_alert_resolving_by_itself_ends_the_question(working: Working, client: Client) -> None:
    world = World(IncidentPolicy(mitigation="approve"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        world.cure("restart")
        await handle.signal(P1Incident.alert, firing().model_copy(update={"status": "resolved"}))
        result = await close(handle)
    assert result.mitigations == []
    assert len(world.done("records.resolve_alert")) == 1


async def test_a_new_firing_joins_and_an_old_one_is_ignored(working: Working, client: Client) -> None:
    world = World()
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        await handle.signal(P1Incident.alert, firing())
        assert (await handle.query(P1Incident.status)).waiting_for == "close"
        world.break_down()
        world.cures = {"restart"}
        await handle.signal(P1Incident.alert, firing(datetime(2026, 2, 4, 5, tzinfo=UTC)))
        await until(handle, "decide mitigation-1")
        await handle.execute_update(
            P1Incident.decide,
            Decision(who="ada", role="commander", question="mitigation-1", choice="restart"),
        )
        result = await close(handle)
        memo = await (await handle.describe()).memo()
    assert len(world.done("records.create_incident")) == 1
    assert len(world.done("records.acknowledge_alert")) == 2
    assert result.mitigations == ["rollback", "restart"]
    assert len(memo["episodes"]) == 2


async def test_a_firing_during_the_closing_becomes_a_new_incident(temporal_address: str) -> None:
    # On a real server: after a run that continued as new, the test server sometimes stops skipping time.
    world, queue = World(), f"q-{uuid4()}"
    client = await connect(TemporalSettings(address=temporal_address))
    async with build(client, TemporalSettings(task_queue=queue), world.activities()):
        handle = await start(client, queue)
        await until(handle, "close")
        world.down = {"records.close_incident"}
        await handle.execute_update(P1Incident.close, CLOSING)
        await handle.signal(P1Incident.alert, firing(datetime(2026, 2, 4, 6, tzinfo=UTC)))
        world.down = set()
        following: WorkflowHandle[P1Incident, P1Result] = client.get_workflow_handle_for(P1Incident.run, handle.id)
        await goes_on(following, handle.first_execution_run_id)
        second = await close(following)
    created = [request.incident_id for request in world.done("records.create_incident")]
    assert len(set(created)) == 2
    assert second.incident_id == created[1]
    assert len(world.done("records.acknowledge_alert")) == 2
    keys = [request.effect.key for _, request in world.effects]
    assert len(keys) == len(set(keys))


async def test_missed_deadlines_escalate_once_each_and_stop_nothing(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = World(IncidentPolicy(mitigation="approve", decision_timeout=timedelta(hours=5)))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        await time_skipping.sleep(timedelta(minutes=31))
        status = await handle.query(P1Incident.status)
        assert {clock.name for clock in status.clocks if clock.missed} == {"Mitigated", "Stable"}
        assert [request.level for request in world.done("paging.page")] == [1, 2, 3]
        await handle.execute_update(
            P1Incident.decide,
            Decision(who="ada", role="commander", question="mitigation-1", choice="rollback"),
        )
        result = await close(handle)
    assert result.outcome == "closed"
    assert "Investigating" in [request.status for request in world.done("statuspage.update")]


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


async def test_closing_is_refused_while_the_service_is_down(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        world.healthy = False
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(P1Incident.close, CLOSING)
        assert "is not healthy" in str(refused.value.cause)
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        assert (await handle.result()).outcome == "closed"


async def test_a_commander_who_takes_over_can_close_while_it_is_down(working: Working, client: Client) -> None:
    world = World()
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(P1Incident.close, CLOSING)
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        result = await handle.result()
        told = texts(await handle.query(P1Incident.status))
    assert (result.outcome, result.mitigations) == ("closed", [])
    assert "Closed although tensafe-server is not healthy" in told
    (record,) = world.done("records.close_incident")
    assert "closed while not healthy: unhealthy" in record.resolution
    assert len(world.done("paging.resolve")) == 1
    assert "Resolved" not in [update.status for update in world.done("statuspage.update")]
    assert not any("is healthy again" in post.text for post in world.done("slack.post"))


async def test_closing_is_no_consent_to_what_was_asked(working: Working, client: Client) -> None:
    world = World(IncidentPolicy(mitigation="approve", safe_default="rollback"))
    world.bad_release()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "decide mitigation-1")
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        assert (await handle.result()).mitigations == []
    assert not world.done("kubernetes.undo_rollout")


async def test_closed_while_a_mitigation_is_verified_nothing_more_is_tried(working: Working, client: Client) -> None:
    world = World()
    world.cures = set()
    world.break_down()
    closed: list[str] = []

    @activity.defn(name="health.steady")
    def steady(request: SteadyRequest) -> Steadiness:
        closed.append("waits")
        while "closed" not in closed:
            activity.heartbeat()
            time.sleep(0.02)
        world.crashing, world.saturation = False, 1.0  # what asks for more replicas, and plainly
        return Steadiness(steady=False, last=Health(status="unhealthy", milliseconds=1), checks=1, seconds=1, longest=0)

    async with working(instead(world.activities(), steady)) as queue:
        handle = await start(client, queue)
        await comes(lambda: "waits" in closed, "a look at its health")
        await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"force": True}))
        closed.append("closed")
        result = await handle.result()
    assert result.mitigations == ["restart"]
    assert not world.done("kubernetes.scale")


async def test_who_may_not_is_refused_without_a_trace(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        before = len([event async for event in handle.fetch_history_events()])
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(P1Incident.close, CLOSING.model_copy(update={"role": "intern"}))
        assert "Roles that may: commander" in str(refused.value.cause)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("close", {"who": "ada"})
        events = [event async for event in handle.fetch_history_events()]
        assert not [e for e in events[before:] if "UPDATE" in EventType.Name(e.event_type)]
        await close(handle)


async def test_only_signed_words_count_where_settings_say_so(working: Working, client: Client) -> None:
    key, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    world = World(approvals=ApprovalPolicy(public_keys=(public,)))
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        now = (await handle.query(P1Incident.status)).now

        def signed(by: Ed25519PrivateKey, workflow_id: str = handle.id, at: datetime = now) -> Closing:
            word = CLOSING.model_copy(update={"issued_at": at})
            signature = sign(word, by, workflow_id, handle.first_execution_run_id or "")
            return word.model_copy(update={"signature": signature})

        for bad, why in (
            (CLOSING, "not signed"),
            (signed(stranger), "fits none"),
            (signed(key, workflow_id="another-run"), "fits none"),
            (signed(key).model_copy(update={"resolution": "something else"}), "fits none"),
            (signed(key, at=now - timedelta(hours=1)), "sign it anew"),
        ):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await handle.execute_update(P1Incident.close, bad)
            assert why in str(refused.value.cause)
        await handle.execute_update(P1Incident.close, signed(key))
        assert (await handle.result()).outcome == "closed"


async def test_notes_reach_the_timeline_and_the_record(working: Working, client: Client) -> None:
    world = World()
    async with working(world.activities()) as queue:
        handle = await start(client, queue)
        await until(handle, "close")
        await handle.execute_update(P1Incident.note, Note(who="ada", role="commander", text="DNS was fine"))
        assert "DNS was fine" in texts(await handle.query(P1Incident.status))
        await close(handle)
    assert "DNS was fine" in [request.text for request in world.done("records.note_incident")]


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
