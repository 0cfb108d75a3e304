"""From an alert to a run: started once an episode, joined by whatever belongs to it.

The workflow ID is the alert (procedure, service, fingerprint), so Temporal itself sees to it that one run handles it
at a time: starting and telling are one request (signal-with-start), and concurrent posts meet in the same run. A run
remembers in its memo which firings it took, so a repetition that arrives after it has closed starts nothing.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.records import Alert
from starters.webhook.routes import Route, Routes
from workflows.shared import search_attributes

Outcome = Literal["started", "joined", "resolved", "already_handled", "unrouted", "invalid"]
RPC_TIMEOUT = timedelta(seconds=5)


class TemporalUnavailable(Exception):  # noqa: N818  as the status is called
    """Temporal didn't accept in time; the sender must try again."""


@dataclass(frozen=True)
class Taken:
    """What became of one alert."""

    outcome: Outcome
    workflow_id: str = ""
    run_id: str = ""
    detail: str = ""


class Intake:
    """Starts and joins runs; stateless, so any number of webhooks may run."""

    def __init__(self, client: Client, routes: Routes, task_queue: str, services: Iterable[str]) -> None:
        self._client = client
        self._routes = routes
        self._task_queue = task_queue
        self._services = sorted(services)

    async def take(self, alert: Alert) -> Taken:
        """Start or join the run of an alert.

        Raises:
            TemporalUnavailable: Temporal didn't answer within five seconds.

        """
        route = self._routes.find(alert.labels)
        if route is None:
            return Taken("unrouted", detail="no routing rule matches its labels")
        service = route.service_of(alert.labels)
        if service is None and len(self._services) == 1:
            service = self._services[0]
        if service not in self._services:
            known = ", ".join(self._services) or "none"
            return Taken("invalid", detail=f"labels.{route.service_label}: not a known service. Known: {known}")
        workflow_id = f"{route.target.command}/{service}/{alert.fingerprint}"
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds()):
                if alert.status == "resolved":
                    return await self._resolved(workflow_id, alert)
                return await self._firing(workflow_id, alert, route, service)
        except (TimeoutError, RPCError, RuntimeError) as error:  # RuntimeError: the first connection failed
            message = f"Temporal did not accept the alert ({type(error).__name__})"
            raise TemporalUnavailable(message) from error

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
            handle = await self._start(workflow_id, alert, route, service, WorkflowIDReusePolicy.REJECT_DUPLICATE)
        except WorkflowAlreadyStartedError:
            # Only a closed run rejects. Was it this firing's?
            description = await self._client.get_workflow_handle(workflow_id).describe()
            if alert.starts_at.isoformat() in (await description.memo()).get("episodes", []):
                return Taken("already_handled", workflow_id, description.run_id, "its run has ended")
            handle = await self._start(workflow_id, alert, route, service, WorkflowIDReusePolicy.ALLOW_DUPLICATE)
        return Taken("started" if _is_new(handle) else "joined", workflow_id, handle.result_run_id or "")

    async def _start(
        self, workflow_id: str, alert: Alert, route: Route, service: str, reuse: WorkflowIDReusePolicy
    ) -> WorkflowHandle[Any, Any]:
        target = route.target
        return await self._client.start_workflow(
            target.workflow_type,
            target.request(service=service, alert=alert, requested_by=f"{alert.source} {alert.name}"),
            id=workflow_id,
            task_queue=self._task_queue,
            id_reuse_policy=reuse,
            start_signal="alert",
            start_signal_args=[alert],
            memo={"episodes": [alert.starts_at.isoformat()]},
            search_attributes=TypedSearchAttributes([
                SearchAttributePair(search_attributes.PROCEDURE, target.workflow_type),
                SearchAttributePair(search_attributes.SERVICE, service),
            ]),
            static_summary=f"{target.title}: {alert.summary}"[:200],
            static_details=_details(alert),
        )  # fmt: skip


def _is_new(handle: WorkflowHandle[Any, Any]) -> bool:
    """Whether the request started the run, or reached one that ran already; the SDK keeps the answer to itself."""
    return bool(getattr(handle._start_workflow_response, "started", False))  # noqa: SLF001


def _details(alert: Alert) -> str:
    labels = "\n".join(f"- `{name}`: `{value}`" for name, value in sorted(alert.labels.items()))
    source = f"\n\n[Source]({alert.generator_url})" if alert.generator_url.startswith(("http://", "https://")) else ""
    return f"**{alert.summary}**\n\nFiring since {alert.starts_at:%Y-%m-%d %H:%M:%S %Z}\n\n{labels}{source}"[:10_000]
