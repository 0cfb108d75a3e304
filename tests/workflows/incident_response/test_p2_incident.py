"""P2Incident with the time-skipping server: what it decides, whom it asks, what it hands on, what it never leaves."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment

from activities.common.severity import Severity
from activities.kubernetes.cluster import Workload
from activities.kubernetes.states import DeploymentState
from activities.monitoring.degradation import DegradationWatched, WatchDegradation
from activities.monitoring.health import Health, HealthRequest
from activities.monitoring.prometheus import Metrics, MetricsRequest
from activities.records.alerts import Alert
from activities.records.incidents import OpenIncident
from starters.steering.catalogue import service_run_id
from tests.plugins.patience import HANGS
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, comes, goes_on, quiet, texts, told, until, waiting_for
from tests.workflows.worlds.degraded import Degraded
from tests.workflows.worlds.world import instead, named
from workers.registry import procedure
from workflows.incident_response.incident_words import Closing, Raise
from workflows.incident_response.p2_incident import P2Request, P2Result
from workflows.platform.approval import Decision
from workflows.platform.run_status import RunStatus
from workflows.shared.continued import (
    HANDED_OVER,
    JOINED,
    TAKEN_IN,
    HandedOver,
    IncidentSoFar,
    Joined,
    TakenIn,
    p1_run_id,
)

NAME = "p2_incident"
ADA = {"who": "ada", "role": "commander"}


def firing(fingerprint: str = "slow", **changes: Any) -> Alert:
    return Alert(
        source="alertmanager",
        fingerprint=fingerprint,
        name="HighLatency",
        starts_at=datetime(2026, 2, 4, 3, tzinfo=UTC),
        annotations={"summary": "Answers take more than 2 s"},
    ).model_copy(update=changes)


REQUEST = P2Request(alert=firing())


async def outcome(handle: Handle) -> P2Result:
    return P2Result.model_validate(await handle.result())


async def test_a_busy_service_gets_two_more_pods_is_watched_and_resolved(working: Working, client: Client) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        result = await outcome(handle)
        timeline = await told(handle)
    assert (result.outcome, result.fixes, result.reasons) == ("resolved", ["scale"], ["saturated"])
    assert [request.replicas for request in world.done("kubernetes.scale")] == [5]
    assert len(world.done("autoscalers.hold")) == len(world.done("autoscalers.release")) == 1
    (resolved,) = world.done("records.resolve_alert")
    assert "Scaled up" in resolved.notes
    assert "p95 3.00 s" in resolved.notes  # what it was before
    assert not world.done("statuspage.update")
    for once in (
        "records.acknowledge_alert",
        "records.create_incident",
        "paging.page",
        "paging.resolve",
        "records.close_incident",
        "evidence.chart_figures",
    ):
        assert len(world.done(once)) == 1, once
    assert "7 × error: no worker free for <n> s" in timeline
    keys = [request.effect.key for _, request in world.effects]
    assert len(keys) == len(set(keys))


async def test_high_latency_without_other_signs_is_met_with_more_pods(working: Working, client: Client) -> None:
    world = Degraded()
    world.saturation = None
    async with working(world.activities()) as queue:
        result = await outcome(await begin(client, queue, REQUEST, NAME))
    assert (result.outcome, result.reasons, result.fixes) == ("resolved", ["latency"], ["scale"])


async def test_what_is_well_by_now_is_watched_and_changed_by_nobody(working: Working, client: Client) -> None:
    world = Degraded()
    world.well()
    async with working(world.activities()) as queue:
        result = await outcome(await begin(client, queue, REQUEST, NAME))
    assert (result.outcome, result.reasons, result.fixes) == ("resolved", ["well"], [])
    assert result.resolution.startswith("No fix was needed")


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


async def test_what_goes_down_goes_on_as_p1_with_all_there_is(working: Working, client: Client) -> None:
    world = Degraded()
    world.goes_down = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        result = await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        status = await until(p1, lambda status: "Goes on with" in texts(status))
        await quiet(p1)
        await p1.terminate()
    assert result.outcome == "raised"
    assert status.incident_id == result.incident_id
    assert len(world.done("records.create_incident")) == 1
    (raised,) = world.done("records.raise_incident")
    assert (raised.incident_id, raised.severity) == (result.incident_id, "P1")
    assert not [one for one in world.done("records.close_incident") if one.incident_id == result.incident_id]
    levels = [request.level for request in world.done("paging.page")]
    assert levels == sorted(set(levels)), "the P1 pages the next level"
    assert len(world.done("autoscalers.release")) == 1


async def test_a_raised_incident_begins_nothing_anew_for_alerts_that_were_taken(
    working: Working, client: Client
) -> None:
    world = Degraded()
    world.watching = True
    world.taken = ["an-earlier-p1s"]
    errors = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    over = firing("full", name="DiskFull", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await handle.signal("alerts", [errors, over, over.model_copy(update={"status": "resolved"})])
        await until(handle, lambda status: "DiskFull has resolved" in texts(status))
        await handle.execute_update("raise", Raise(**ADA, reason="orders are lost"))
        await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        # Those that still fire are its alerts from now on; that one has ended is known.
        status = await until(p1, lambda status: "HighErrorRate fires: joins" in texts(status))
        await quiet(p1)
        await p1.terminate()
        taken = (await (await p1.describe()).memo())["episodes"]
    assert "DiskFull" not in texts(status)
    assert set(taken) == {"an-earlier-p1s", firing().episode, errors.episode, over.episode}


async def test_who_finds_it_down_raises_it(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await handle.signal(JOINED, Joined(what="found down in the morning", who="morning", severity="P1"))
        result = await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        await until(p1, lambda status: status.phase != "")
        await quiet(p1)
        await p1.terminate()
    assert (result.outcome, result.resolution) == ("raised", "found down in the morning")


async def test_a_person_raises_it_while_it_is_watched(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("raise", Raise(who="eve", role="intern", reason="I think so"))
        await handle.execute_update("raise", Raise(**ADA, reason="orders are lost"))
        result = await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        await until(p1, lambda status: status.phase != "")
        await quiet(p1)
        await p1.terminate()
    assert (result.outcome, result.resolution) == ("raised", "orders are lost")


async def test_a_person_closes_it(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await handle.execute_update("close", Closing(**ADA, resolution="Load test ended", root_cause="Load test"))
        result = await outcome(handle)
    assert (result.outcome, result.resolution) == ("closed", "Load test ended")
    assert len(world.done("autoscalers.release")) == 1


async def test_the_same_alert_twice_and_another_one_are_one_incident(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await handle.signal("alert", firing())
        await handle.signal("alert", firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC)))
        await until(handle, lambda status: "HighErrorRate fires: joins" in texts(status))
        await handle.execute_update("close", Closing(**ADA, resolution="over", root_cause="none"))
        await outcome(handle)
    assert len(world.done("records.create_incident")) == 1
    assert [request.alert.name for request in world.done("records.acknowledge_alert")] == [
        "HighLatency",
        "HighErrorRate",
    ]


async def child(client: Client, handle: Handle) -> Handle:
    """Wait for the run that this one starts; its ID may have been that of an earlier test's."""

    async def started() -> list[WorkflowExecution]:
        return [
            event.child_workflow_execution_started_event_attributes.workflow_execution
            for event in (await handle.fetch_history()).events
            if event.HasField("child_workflow_execution_started_event_attributes")
        ]

    await comes(started, f"a child of {handle.id}")
    begun = (await started())[0]
    return client.get_workflow_handle(begun.workflow_id, run_id=begun.run_id)


async def handed_on(client: Client, queue: str, world: Degraded) -> tuple[Handle, Handle]:
    """Raise a P2 that has added pods; gives it, and the P1 that has the incident from then on."""
    world.watching = True
    handle = await begin(client, queue, REQUEST, NAME)
    await until(handle, lambda _: world.watches == 1)
    await handle.execute_update("raise", Raise(**ADA, reason="orders are lost"))
    p1 = await child(client, handle)
    await until(p1, lambda status: "Goes on with" in texts(status))
    await quiet(p1)
    return handle, p1


async def test_a_raised_run_that_is_cancelled_gives_the_pods_back_and_leaves_the_incident(
    working: Working, client: Client
) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        handle, p1 = await handed_on(client, queue, world)
        await p1.terminate()  # the test server's clock, which is let go below, would end it otherwise
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        status = await handle.query("status", result_type=RunStatus)
    assert status.outcome == "raised"
    assert len(world.done("autoscalers.release")) == 1
    assert not world.done("paging.resolve"), "the P1 pages for it"
    assert not [post for post in world.done("slack.post") if "in human hands" in post.text]


async def test_what_fires_while_the_pods_are_held_on_is_the_p1s(working: Working, client: Client) -> None:
    world = Degraded()
    later = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        handle, p1 = await handed_on(client, queue, world)
        for alert in (later, later, later.model_copy(update={"status": "resolved"}), firing()):
            await handle.signal("alert", alert)
        status = await until(p1, lambda status: "HighErrorRate has resolved" in texts(status))
        await quiet(p1)
        await p1.terminate()
        result = await outcome(handle)  # the hold's time is over
    assert texts(status).count("HighErrorRate fires: joins") == 1
    acknowledged = [request.alert.name for request in world.done("records.acknowledge_alert")]
    assert acknowledged.count("HighErrorRate") == 1
    assert result.outcome == "raised"


async def test_what_fires_after_the_p1_is_a_new_incident_at_once(working: Working, client: Client) -> None:
    world = Degraded()
    later = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        handle, p1 = await handed_on(client, queue, world)
        await p1.terminate()
        world.watching = False
        await handle.signal("alert", later)
        # The test server's clock stands still: the hold's half hour can't be what ends it.
        await goes_on(client.get_workflow_handle(handle.id), handle.first_execution_run_id)
        result = await outcome(client.get_workflow_handle(handle.id))
    assert len(world.done("autoscalers.release")) >= 1
    first, second = world.done("records.create_incident")
    assert first.incident_id != second.incident_id == result.incident_id
    assert result.outcome == "resolved"


def open_incident(handle: Handle, severity: Severity) -> OpenIncident:
    return OpenIncident(
        incident_id=f"INC-{severity}",
        severity=severity,
        title="Open already",
        status="open",
        opened_at=datetime.now(UTC),
        workflow_id=handle.id,
    )


async def test_a_second_run_joins_the_open_incident(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        first = await begin(client, queue, REQUEST, NAME)
        await until(first, lambda _: world.watches == 1)
        world.incidents = [open_incident(first, "P2")]
        second = await begin(client, queue, P2Request(requested_by="ada", title="Slow for me"), NAME)
        result = await outcome(second)
        status: RunStatus = await until(first, lambda status: "Slow for me, by ada" in texts(status))
        await first.execute_update("close", Closing(**ADA, resolution="over", root_cause="none"))
        await outcome(first)
    assert (result.outcome, result.incident_id) == ("joined", "INC-P2")
    assert status.waiting_for == ""
    assert len(world.done("records.create_incident")) == 1


async def test_what_one_post_tells_of_a_service_with_a_p1_goes_there(working: Working, client: Client) -> None:
    """As the webhook starts it: with all that the post has for the run, as its first signal."""
    world = Degraded()
    world.healthy = True
    errors = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    over = firing("full", name="DiskFull", status="resolved", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        p1 = await begin(client, queue, P2Request(), "p1_incident")
        await waiting_for(p1, "close")
        world.incidents = [open_incident(p1, "P1")]
        handle = await client.start_workflow(
            "P2Incident",
            REQUEST,
            id=f"joins/{uuid4()}",
            task_queue=queue,
            start_signal="alerts",
            start_signal_args=[[firing(), errors, over]],
        )
        async with asyncio.timeout(HANGS):
            result = await outcome(handle)
        status = await until(p1, lambda status: "HighErrorRate fires: joins" in texts(status))
        taken = (await (await handle.describe()).memo())["episodes"]
        await quiet(p1)
        await p1.terminate()
    assert (result.outcome, result.incident_id) == ("taken in", "INC-P1")
    assert texts(status).count("HighErrorRate fires: joins") == 1
    assert {firing().episode, errors.episode} <= set(taken)
    assert len(world.done("records.create_incident")) == 1


async def test_of_two_incidents_of_one_run_the_one_that_was_left_open_before_is_joined_by_nobody(
    working: Working, client: Client
) -> None:
    """A run that was terminated leaves its incident open; the next of the same workflow ID has another one."""
    world = Degraded()
    world.healthy = True
    async with working(world.activities()) as queue:
        p1 = await begin(client, queue, P2Request(), "p1_incident")
        await waiting_for(p1, "close")
        led = open_incident(p1, "P1")
        left = led.model_copy(update={"incident_id": "INC-LEFT", "opened_at": led.opened_at - timedelta(minutes=5)})
        world.incidents = [left, led]
        result = await outcome(await begin(client, queue, REQUEST, NAME))
        await quiet(p1)
        await p1.terminate()
    assert (result.outcome, result.incident_id) == ("taken in", "INC-P1")


async def test_an_incident_whose_run_has_ended_is_joined_by_nobody(working: Working, client: Client) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        first = await begin(client, queue, REQUEST, NAME)
        await outcome(first)
        world.incidents = [open_incident(first, "P2")]
        world.figures = world.figures.model_copy(update={"p95_latency": 3.0})
        result = await outcome(await begin(client, queue, P2Request(), NAME))
    assert result.outcome == "resolved"
    assert len(world.done("records.create_incident")) == 2


async def opened(handle: Handle) -> OpenIncident:
    """Give the incident that a run has opened, as the records list it."""
    status = await handle.query("status", result_type=RunStatus)
    return open_incident(handle, "P2").model_copy(update={"incident_id": status.incident_id})


async def test_a_p1_goes_on_with_the_incident_of_an_open_p2_and_the_pods_stay(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    errors = firing("errors", name="HighErrorRate", starts_at=datetime.now(UTC))
    async with working(world.activities()) as queue:
        second = await begin(client, queue, REQUEST, NAME)
        await until(second, lambda _: world.watches == 1)
        world.incidents, world.healthy = [await opened(second)], True
        first = await begin(client, queue, P2Request(title="All is down"), "p1_incident")
        # What comes to the P2 from here on is told to the P1.
        await until(second, lambda status: "Handed over to p1-incident/tensafe-server" in texts(status))
        await second.signal("alerts", [errors])
        result = await outcome(second)
        p1 = await until(first, lambda status: status.waiting_for == "close" and "HighErrorRate" in texts(status))
        await quiet(first)
        await first.terminate()
    assert (result.outcome, result.incident_id, result.fixes) == ("taken in", p1.incident_id, ["scale"])
    assert p1.incident_id == world.incidents[0].incident_id
    assert "HighLatency fires: joins this incident" in texts(p1)
    (created,) = world.done("records.create_incident")
    (raised,) = world.done("records.raise_incident")
    assert created.incident_id == raised.incident_id == p1.incident_id
    assert not world.done("records.close_incident") + world.done("paging.resolve")
    assert [page.level for page in world.done("paging.page")] == [1, 2]
    assert {page.incident_id for page in world.done("paging.page")} == {p1.incident_id}
    (thread,) = [post for post in world.done("slack.post") if post.thread is None]
    assert thread.text.startswith(":fire: *P2*")
    assert any("P1" in post.text and "All is down" in post.text for post in world.done("slack.post") if post.thread)
    assert len(world.done("autoscalers.release")) == 1


async def test_a_p2_that_is_being_closed_is_left_alone(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        second = await begin(client, queue, REQUEST, NAME)
        await until(second, lambda _: world.watches == 1)
        world.incidents, world.healthy = [await opened(second)], True
        world.down = {"records.close_incident"}
        await second.execute_update("close", Closing(**ADA, resolution="over", root_cause="none"))
        first = await begin(client, queue, P2Request(), "p1_incident")
        p1 = await waiting_for(first, "close")
        world.down = set()
        result = await outcome(second)
        await quiet(first)
        await first.terminate()
    assert result.outcome == "closed"
    assert p1.incident_id != result.incident_id
    assert "not handed over in time" not in texts(p1), "it was answered at once"


async def test_an_incident_that_is_handed_over_late_is_closed_as_a_part_of_the_other(
    working: Working, client: Client
) -> None:
    world = Degraded()
    world.healthy = True
    so_far = IncidentSoFar(incident_id="INC-LATE", opened_at=datetime.now(UTC), levels=2, why="down")
    async with working(world.activities()) as queue:
        first = await begin(client, queue, P2Request(), "p1_incident")
        await waiting_for(first, "close")
        await first.signal(HANDED_OVER, HandedOver(so_far=so_far, alerts=[firing()]))
        p1 = await until(first, lambda status: "HighLatency fires: joins" in texts(status))
        await quiet(first)
        await first.terminate()
    (closed,) = world.done("records.close_incident")
    assert (closed.incident_id, closed.resolution) == ("INC-LATE", f"Taken in by {p1.incident_id}")
    (pages,) = world.done("paging.resolve")
    assert (pages.incident_id, pages.levels) == ("INC-LATE", 2)


async def test_a_p2_stays_where_the_p1_that_would_take_it_in_has_ended(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        incident = (await opened(handle)).incident_id
        await handle.signal(TAKEN_IN, TakenIn(incident_id=incident, workflow_id=f"gone/{uuid4()}", why="down"))
        await until(handle, lambda status: "it stays here" in texts(status))
        result = await outcome(handle)
    assert (result.outcome, result.incident_id) == ("resolved", incident)
    assert len(world.done("records.close_incident")) == 1


async def asking(client: Client, queue: str, world: Degraded) -> Handle:
    """Give a P1 that has asked an open P2 for its incident, whose worker is away."""
    silent = await client.start_workflow("P2Incident", P2Request(), id=f"silent/{uuid4()}", task_queue="nobody")
    world.incidents, world.healthy = [open_incident(silent, "P2")], True
    first = await begin(client, queue, P2Request(title="All is down"), "p1_incident")

    async def asks() -> bool:
        return "handed over" in str(await first.fetch_history())  # the timer's summary

    await comes(asks, "that the P1 asks the P2")
    return first


async def test_a_p2_that_does_not_answer_delays_no_outage(
    working: Working, client: Client, time_skipping: WorkflowEnvironment
) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        first = await asking(client, queue, world)
        assert not world.done("records.create_incident")
        await time_skipping.sleep(timedelta(seconds=16))
        p1 = await waiting_for(first, "close")
        await quiet(first)
        await first.terminate()
    assert "INC-P2 was not handed over in time" in texts(p1)
    assert [one.incident_id for one in world.done("records.create_incident")] == [p1.incident_id] != ["INC-P2"]


async def test_a_p1_that_is_cancelled_while_it_is_given_an_incident_leaves_it_to_people(
    working: Working, client: Client
) -> None:
    world = Degraded()
    so_far = IncidentSoFar(incident_id="INC-P2", opened_at=datetime.now(UTC), levels=1, why="down")
    async with working(world.activities()) as queue:
        first = await asking(client, queue, world)
        await first.cancel()
        await first.signal(HANDED_OVER, HandedOver(so_far=so_far))
        with pytest.raises(WorkflowFailureError):
            await first.result()
    assert [(one.incident_id, one.milestone) for one in world.done("records.mark_incident")] == [
        ("INC-P2", "cancelled")
    ]
    assert [one.incident_id for one in world.done("paging.resolve")] == ["INC-P2"]
    assert not world.done("records.create_incident")


def read_before_it_is_brought_back(world: Degraded) -> list[Callable[..., Any]]:
    """Have a run read figures and health while the service is stopped, in its second look, and who stops it after."""
    asked = {"health": 0, "figures": 0, "who": 0}
    both = threading.Event()
    real = named(world.activities())

    def answered(what: str) -> None:
        asked[what] += 1
        if asked["health"] >= 2 and asked["figures"] >= 2:
            both.set()

    @activity.defn(name="health.check")
    def health(request: HealthRequest) -> Health:
        answer: Health = real["health.check"](request)
        if request.url == world.service.health_url:
            answered("health")
        return answer

    @activity.defn(name="metrics.snapshot")
    def figures(request: MetricsRequest) -> Metrics:
        answer: Metrics = real["metrics.snapshot"](request)
        answered("figures")
        return answer

    @activity.defn(name="kubernetes.deployment")
    def who(request: Workload) -> DeploymentState:
        answered("who")
        if asked["who"] >= 2 and world.stopped_by:
            assert both.wait(HANGS)
            world.bring_back(activity.info().current_attempt_scheduled_time)
            world.healthy, world.goes_down = True, False
            world.well()
        state: DeploymentState = real["kubernetes.deployment"](request)
        return state

    return instead(world.activities(), health, figures, who)


async def test_a_service_that_a_run_keeps_stopped_is_no_outage(working: Working, client: Client) -> None:
    world = Degraded()
    world.stopped_by, world.healthy, world.goes_down = "point-in-time-restore/x", False, True
    async with working(read_before_it_is_brought_back(world)) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        result = await outcome(handle)
        timeline = await told(handle)
    assert (result.outcome, result.reasons) == ("resolved", ["stopped", "stopped"])
    assert "the service is left to point-in-time-restore/x, which has brought it back at " in timeline
    assert not world.done("kubernetes.scale") + world.done("records.raise_incident")


async def test_what_is_stopped_while_it_is_watched_is_no_outage(working: Working, client: Client) -> None:
    world = Degraded()
    world.well()
    real = named(world.activities())["degradation.watch"]

    @activity.defn(name="degradation.watch")
    async def watch(request: WatchDegradation) -> DegradationWatched:
        stops = world.watches == 0
        world.stopped_by = "point-in-time-restore/x" if stops else None
        world.healthy, world.goes_down = not stops, stops
        watched: DegradationWatched = await real(request)
        return watched

    async with working(instead(world.activities(), watch)) as queue:
        result = await outcome(await begin(client, queue, REQUEST, NAME))
    assert (result.outcome, result.reasons) == ("resolved", ["well", "stopped"])
    assert not world.done("records.raise_incident")


async def test_no_more_pods_than_settings_allow(working: Working, client: Client) -> None:
    world = Degraded()
    world.replicas = 20
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        (question,) = (await waiting_for(handle, "decide fix-1")).questions
        await handle.execute_update("decide", Decision(**ADA, question="fix-1", choice="raise", reason="no room"))
        result = await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        await until(p1, lambda status: status.phase != "")
        await quiet(p1)
        await p1.terminate()
    assert "scale" not in question.options
    assert any("more than settings allow" in line for line in question.evidence)
    assert result.outcome == "raised"
    assert not world.done("kubernetes.scale")


async def test_without_figures_nobody_can_say_that_it_is_well(working: Working, client: Client) -> None:
    world = Degraded()
    world.down = {"metrics.snapshot", "records.open_incidents"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        status = await waiting_for(handle, "decide fix-1")
        assert "the error rate could not be read" in texts(status)
        world.down = set()
        world.well()
        await handle.execute_update("decide", Decision(**ADA, question="fix-1", choice="watch"))
        result = await outcome(handle)
    assert (result.outcome, result.reasons[0]) == ("resolved", "unknown")


async def test_a_plan_changes_nothing(working: Working, client: Client) -> None:
    world = Degraded()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P2Request(dry_run=True, alert=firing()), NAME)
        result = await outcome(handle)
    assert result.outcome == "planned"
    assert world.effects == []
    assert world.watches == 0


async def test_a_cancelled_run_gives_the_autoscaler_back(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await cancel(handle, beside=1)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        described = await handle.describe()
    assert described.status is WorkflowExecutionStatus.CANCELED
    assert len(world.done("autoscalers.release")) == 1
    assert world.done("records.mark_incident")[-1].milestone == "cancelled"


def test_a_raised_incident_has_the_id_that_the_services_alerts_have() -> None:
    assert p1_run_id("web") == service_run_id(procedure("p1_incident"), "web")
