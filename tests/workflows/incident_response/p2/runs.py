"""Runs of P2, and those of P1 that they meet."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.client import Client

from activities.common.severity import Severity
from activities.kubernetes.cluster import Workload
from activities.kubernetes.states import DeploymentState
from activities.monitoring.health import Health, HealthRequest
from activities.monitoring.prometheus import Metrics, MetricsRequest
from activities.records.alerts import Alert
from activities.records.incidents import OpenIncident
from tests.plugins.patience import HANGS
from tests.workflows.steering import Handle, begin, comes, quiet, texts, until
from tests.workflows.worlds.degraded import Degraded
from tests.workflows.worlds.world import instead, named
from workflows.incident_response.incident_words import Raise
from workflows.incident_response.p2_incident import P2Request, P2Result
from workflows.platform.run_status import RunStatus

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


def open_incident(handle: Handle, severity: Severity) -> OpenIncident:
    return OpenIncident(
        incident_id=f"INC-{severity}",
        severity=severity,
        title="Open already",
        status="open",
        opened_at=datetime.now(UTC),
        workflow_id=handle.id,
    )


async def opened(handle: Handle) -> OpenIncident:
    """Give the incident that a run has opened, as the records list it."""
    status = await handle.query("status", result_type=RunStatus)
    return open_incident(handle, "P2").model_copy(update={"incident_id": status.incident_id})


async def asking(client: Client, queue: str, world: Degraded) -> Handle:
    """Give a P1 that has asked an open P2 for its incident, whose worker is away."""
    silent = await client.start_workflow("P2Incident", P2Request(), id=f"silent/{uuid4()}", task_queue="nobody")
    world.incidents, world.healthy = [open_incident(silent, "P2")], True
    first = await begin(client, queue, P2Request(title="All is down"), "p1_incident")

    async def asks() -> bool:
        return "handed over" in str(await first.fetch_history())  # the timer's summary

    await comes(asks, "that the P1 asks the P2")
    return first


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
