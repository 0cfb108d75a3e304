"""Incidents whose run was terminated, timed out or failed: found, and ended in the records (ARCHITECTURE, rule 13).

A run ends its incident on every way out but these. Then nobody would: it would stay open for good, every deployment
would ask about it, and people would believe that somebody is at it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus, WorkflowHistoryEventFilterType
from temporalio.service import RPCError, RPCStatusCode

from activities.catalogue.service import Service
from activities.common.effects import Change, Effect, effect
from activities.common.errors import unavailable
from activities.common.text import Key, Shown
from activities.records.left_incidents import LeaveEntry, LeftInRecords, OpenEntry
from audit.text import counted
from libraries import logger

if TYPE_CHECKING:
    from temporalio.client import Client, WorkflowExecutionDescription

_log = logger(__name__)
_ENDED_ITSELF = {WorkflowExecutionStatus.COMPLETED, WorkflowExecutionStatus.CONTINUED_AS_NEW}
_SOON, _LATER = timedelta(seconds=10), timedelta(minutes=10)
"""How long ago its run must have ended. Whoever goes on with an incident shows it within a moment; a run that came to
its own end has handed it on to one that may have to wait for a worker first."""
_LATELY = timedelta(days=1)
"""Nobody is woken for an incident whose run was gone before that, such as one from before there was this look."""
_PROCEDURES = {"P1": "p1-incident", "P2": "p2-incident"}
_HOW = {
    WorkflowExecutionStatus.COMPLETED: "has come to its end",
    WorkflowExecutionStatus.CONTINUED_AS_NEW: "goes on with something else",
    WorkflowExecutionStatus.CANCELED: "was cancelled",
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.TIMED_OUT: "timed out",
    WorkflowExecutionStatus.TERMINATED: "was terminated",
}


class LookForLeftIncidents(BaseModel):
    """Nothing is needed: the incidents of every service that settings name are looked at."""


class LeftIncident(BaseModel):
    """An incident that nobody looks after, and its service's people."""

    entry: OpenEntry
    how: Shown = Field(description="How its run ended, as the end of a sentence.")
    lately: bool = Field(description="It ended within the last day: what it was about may still be so.")
    channel: Key
    rotation: Key
    levels: int = Field(ge=1, description="How many levels may have been paged.")
    component: Key = Field(description="Of the public page.")
    anew: Key = Field(description="The command that starts anew.")

    @property
    def because(self) -> str:
        """Why nobody looks after it, as a sentence."""
        return f"Nobody looks after {self.entry.incident_id} any more: its run {self.entry.run} {self.how}."


class LeftIncidents(BaseModel):
    """What was found."""

    items: list[LeftIncident] = Field(description="Nobody looks after them, and nobody was told so.")
    behind: list[LeftIncident] = Field(
        default_factory=list, description="Told of before; a later one of the service was closed since."
    )
    open: int = Field(description="All that are open, whoever looks after them.")

    def __str__(self) -> str:
        return f"{counted(self.open, 'open incident')}, nobody looks after {len(self.items)} of them"


class Leave(BaseModel):
    """End one in the records."""

    left: LeftIncident
    at: datetime
    effect: Effect


class EndLeftBehind(BaseModel):
    """Note that what one had kept up is ended."""

    entry: OpenEntry
    effect: Effect


class IncidentsLeft:
    """Looks at the open incidents of all services; raises `Unavailable` where records or Temporal don't answer."""

    def __init__(self, records: LeftInRecords, services: Mapping[str, Service]) -> None:
        self._records = records
        self._services = services

    @activity.defn(name="left_incidents.look")
    async def look(self, request: LookForLeftIncidents) -> LeftIncidents:
        """Find those whose run has ended, and that no other run goes on with."""
        del request
        services = list(self._services)
        found = await asyncio.to_thread(self._records.open, services)
        behind = await asyncio.to_thread(self._records.left_behind, services)
        client = activity.client()
        items = [self._left(one, gone) for one in found if (gone := await _gone(client, one))]
        ended = _Gone("has ended", None)
        return LeftIncidents(items=items, behind=[self._left(one, ended) for one in behind], open=len(found))

    @activity.defn(name="left_incidents.leave")
    @effect
    async def leave(self, request: Leave) -> Change:
        """Say in the records that nobody looks after it, unless its run runs again, or another one has it by now."""
        left = request.left
        if not await _gone(activity.client(), left.entry):
            return Change(target=left.entry.target, after="left to its run", applied=False, note="that runs again")
        leave = LeaveEntry(entry=left.entry, because=left.because, at=request.at, effect=request.effect)
        change = await asyncio.to_thread(self._records.leave, leave)
        _log.info("incident that nobody looks after", incident=str(left.entry), applied=change.applied)
        return change

    @activity.defn(name="left_incidents.end_left_behind")
    @effect
    def end_left_behind(self, request: EndLeftBehind) -> Change:
        """Note that what it had kept up is ended: it isn't found any more."""
        return self._records.end_left_behind(request.entry, request.effect)

    def _left(self, entry: OpenEntry, gone: "_Gone") -> LeftIncident:
        service = self._services[entry.service]
        security = entry.kind == "security incident"
        procedure = "security-incident" if security else _PROCEDURES.get(entry.severity, "p2-incident")
        return LeftIncident(
            entry=entry,
            how=gone.how,
            lately=datetime.now(UTC) - (gone.at or entry.opened_at) < _LATELY,
            channel=service.security.channel if security else service.channel,
            rotation=(service.security.on_call if security else "") or service.on_call,
            levels=service.incident.highest_page,
            component=service.status_component,
            anew=f"runbooks start {procedure} --set service={entry.service}",
        )


@dataclass(frozen=True)
class _Gone:
    """How a run ended, and when; None where nobody knows."""

    how: str
    at: datetime | None


async def _gone(client: "Client", entry: OpenEntry) -> _Gone | None:
    """Say how its run ended; None where somebody looks after it, or may only be about to.

    A run that goes on as new, is retried or was reset has the workflow ID and the first run ID that it had. An incident
    that was raised, or handed on, shows at the run that has it now.
    """
    try:
        last = await _last_run(client, entry)
        if last is not None:
            if last.status is WorkflowExecutionStatus.RUNNING:
                return None
            long_ago = _LATER if last.status in _ENDED_ITSELF else _SOON
            if last.close_time is None or datetime.now(UTC) - last.close_time < long_ago:
                return None
        # Incident IDs are our own: letters, digits and dashes.
        query = f'RunbookIncident = "{entry.incident_id}" AND ExecutionStatus = "Running"'
        if (await client.count_workflows(query)).count:
            return None
        if last is None:
            return _Gone("is not known to Temporal any more", None)
        return _Gone(await _how(client, last), last.close_time)
    except RPCError as error:
        unavailable("Temporal", error)


async def _last_run(client: "Client", entry: OpenEntry) -> "WorkflowExecutionDescription | None":
    """Describe the last run of the chain that had it; None where Temporal has forgotten it."""
    last = await _described(client, entry.run)
    if last is None or not entry.first_run:
        return last
    first = last.raw_description.workflow_execution_info.first_run_id or last.run_id
    return last if first == entry.first_run else await _described(client, entry.run, entry.run_id)


async def _described(client: "Client", run: str, run_id: str | None = None) -> "WorkflowExecutionDescription | None":
    try:
        return await client.get_workflow_handle(run, run_id=run_id).describe()
    except RPCError as error:
        if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
            return None
        raise


async def _how(client: "Client", ended: "WorkflowExecutionDescription") -> str:
    """Say how a run ended, when, and by whom."""
    at = f" at {ended.close_time:%Y-%m-%d %H:%M:%S} UTC" if ended.close_time else ""
    how = f"{_HOW.get(ended.status, 'has ended') if ended.status else 'has ended'}{at}"
    handle = client.get_workflow_handle(ended.id, run_id=ended.run_id)
    events = handle.fetch_history_events(event_filter_type=WorkflowHistoryEventFilterType.CLOSE_EVENT)
    async for event in events:
        if event.HasField("workflow_execution_terminated_event_attributes"):
            told = event.workflow_execution_terminated_event_attributes
            by = f" by {told.identity}" if told.identity else ""
            return f"{how}{by}{f': {told.reason}' if told.reason else ''}"
        if event.HasField("workflow_execution_failed_event_attributes"):
            return f"{how}: {event.workflow_execution_failed_event_attributes.failure.message}"
    return how
