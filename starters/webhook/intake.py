"""From an alert to a run: started once an episode, joined by whatever belongs to it.

The workflow ID is the alert (procedure, service, fingerprint), so Temporal itself sees to it that one run handles it
at a time: starting and telling are one request (signal-with-start), and concurrent posts meet in the same run. A run
keeps in its memo which firings it took, so that a repetition which arrives after it has closed starts nothing; only
then is there a second request. Nothing is kept here, so any number of webhooks may run.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from pydantic import ValidationError
from temporalio.api.workflowservice.v1 import SignalWithStartWorkflowExecutionResponse
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.records.alerts import Alert
from starters.steering.routes import Route, Routes
from starters.webhook import summary
from workers.settings import explain
from workflows.incident_response.severity import classify, impact_of
from workflows.platform import search_attributes

Outcome = Literal["started", "joined", "resolved", "already_handled", "unrouted", "invalid", "unavailable"]

_ACCEPTED_WITHIN = timedelta(seconds=5)

_GAVE_UP = {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT}
"""Ends that handled nothing: the alert still fires, so its repetition tries again."""


@dataclass(frozen=True)
class Taken:
    """What became of one alert."""

    outcome: Outcome
    workflow_id: str = ""
    run_id: str = ""
    detail: str = ""


def _classified(labels: dict[str, str]) -> dict[str, str]:
    """Give an alert without a `severity` label the one of its impact (runbook 2.1), for routing."""
    impact = None if "severity" in labels else impact_of(labels)
    return labels if impact is None else {**labels, "severity": classify(impact)}


class Intake:
    """Starts and joins the runs of alerts."""

    def __init__(self, client: Client, routes: Routes, task_queue: str, services: Collection[str]) -> None:
        self._client = client
        self._routes = routes
        self._task_queue = task_queue
        self._services = services

    async def take(self, alert: Alert) -> Taken:
        """Start or join the run of an alert; `unavailable` when Temporal doesn't accept it within five seconds."""
        route = self._routes.find(_classified(alert.labels))
        if route is None:
            return Taken("unrouted", detail="no routing rule matches its labels")
        service = route.service_of(alert.labels, self._services)
        if service is None:
            known = ", ".join(sorted(self._services)) or "none"
            return Taken("unrouted", detail=f"labels.{route.service_label}: not a known service. Known: {known}")
        workflow_id = f"{route.target.command}/{service}/{alert.fingerprint}"
        try:
            async with asyncio.timeout(_ACCEPTED_WITHIN.total_seconds()):
                if alert.status == "resolved":
                    return await self._resolved(workflow_id, alert)
                return await self._firing(workflow_id, alert, route, service)
        except ValidationError as error:
            failed = Taken("invalid", workflow_id, detail=explain(error))
        except RPCError as error:
            # Its message can quote the request.
            failed = Taken("unavailable", workflow_id, detail=f"Temporal refused: {error.status.name}")
        except (TimeoutError, RuntimeError) as error:  # the SDK's word for a first connection that fails
            failed = Taken("unavailable", workflow_id, detail=f"Temporal did not answer: {type(error).__name__}")
        return failed

    async def _resolved(self, workflow_id: str, alert: Alert) -> Taken:
        try:
            await self._client.get_workflow_handle(workflow_id).signal("alert", alert)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Taken("resolved", workflow_id, detail="no run handles it any more")
            raise
        return Taken("resolved", workflow_id)

    async def _firing(self, workflow_id: str, alert: Alert, route: Route, service: str) -> Taken:
        try:
            return await self._start(workflow_id, alert, route, service, WorkflowIDReusePolicy.REJECT_DUPLICATE)
        except WorkflowAlreadyStartedError:
            # A running run would have been joined, so the last one has ended. Was it this firing's?
            last = await self._client.get_workflow_handle(workflow_id).describe()
            if await _handled(alert, last):
                return Taken("already_handled", workflow_id, last.run_id, "its run has ended")
            return await self._start(workflow_id, alert, route, service, WorkflowIDReusePolicy.ALLOW_DUPLICATE)

    async def _start(
        self, workflow_id: str, alert: Alert, route: Route, service: str, reuse: WorkflowIDReusePolicy
    ) -> Taken:
        target = route.target
        handle = await self._client.start_workflow(
            target.workflow_type,
            route.request(alert, service),
            id=workflow_id,
            task_queue=self._task_queue,
            id_reuse_policy=reuse,
            start_signal="alert",
            start_signal_args=[alert],
            memo={"episodes": [alert.starts_at.isoformat()]},
            search_attributes=_search_attributes(route, service),
            static_summary=summary.summary(target.title, alert),
            static_details=summary.details(alert),
        )
        # The handle doesn't tell a run that was started from one that was joined; what Temporal answered does.
        answer: Any = handle._start_workflow_response  # noqa: SLF001
        assert isinstance(answer, SignalWithStartWorkflowExecutionResponse)
        return Taken("started" if answer.started else "joined", workflow_id, answer.run_id)


async def _handled(alert: Alert, last: WorkflowExecutionDescription) -> bool:
    """Tell whether an ended run took this firing; one that was cancelled or terminated did so by a person's word."""
    if last.status is WorkflowExecutionStatus.RUNNING or last.status in _GAVE_UP:
        return False
    return alert.starts_at.isoformat() in (await last.memo()).get("episodes", [])


def _search_attributes(route: Route, service: str) -> TypedSearchAttributes:
    pairs = [
        SearchAttributePair(search_attributes.PROCEDURE, route.target.workflow_type),
        SearchAttributePair(search_attributes.SERVICE, service),
    ]
    if route.severity is not None:
        pairs.append(SearchAttributePair(search_attributes.SEVERITY, route.severity))
    return TypedSearchAttributes(pairs)
