"""What Temporal itself knows of a service: its open runs, and what its schedules do (runbook 1.1, 1.3).

Temporal lists a run a moment after it has begun, so whoever has to know of one run in particular asks for it by name.
"""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity
from temporalio.client import (
    Client,
    ScheduleDescription,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
)
from temporalio.common import SearchAttributeKey
from temporalio.service import RPCError, RPCStatusCode

from activities.common.errors import unavailable
from audit.text import counted

_MOST = 100
_LOOKS = {"sweep-holds", "look-for-workers"}
"""They run every minute: after an outage they have missed many, and the next one makes up for all."""
_SERVICE = "RunbookService"
_GAVE_UP = {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT}
"""Ends that handled nothing: the alert still fires, so its repetition tries again."""
_WAITING_FOR = SearchAttributeKey.for_keyword("RunbookWaitingFor")


class ServiceRunsRequest(BaseModel):
    """Of which service."""

    service: str


class OpenRun(BaseModel):
    """One run that goes on."""

    workflow_id: str
    procedure: str = Field(description="Workflow type.")
    title: str
    started_at: datetime
    waiting_for: str = Field(default="", description="What only a person can bring on.")

    def __str__(self) -> str:
        waiting = f", waits: {self.waiting_for}" if self.waiting_for else ""
        return f"{self.title or self.procedure} (`{self.workflow_id}`{waiting})"


class ScheduleState(BaseModel):
    """One schedule of the service, or of all services."""

    name: str
    paused: bool
    missed: int = Field(description="Runs that came too late after an outage, since it was made.")
    upcoming: list[datetime]


class ServiceRuns(BaseModel):
    """What goes on, and what will."""

    items: list[OpenRun] = Field(description="But the run that asks; the oldest first.")
    schedules: list[ScheduleState]

    @property
    def missed(self) -> int:
        """All runs that came too late."""
        return sum(schedule.missed for schedule in self.schedules)

    def __str__(self) -> str:
        return f"{counted(len(self.items), 'open run')}, {counted(len(self.schedules), 'schedule')}"


class TakenRequest(BaseModel):
    """Of which runs: those of one workflow ID, one after another."""

    workflow_id: str


class Taken(BaseModel):
    """Firings of alerts that runs of one ID took, as `Alert.episode`; the oldest first."""

    episodes: list[str]

    def __str__(self) -> str:
        return counted(len(self.episodes), "firing")


async def dealt_with(last: WorkflowExecutionDescription) -> list[str]:
    """Give the firings that a run and those before it took; one that was cancelled or terminated by a person too.

    Each run of an ID hands the list on to the next, in its memo.
    """
    if last.status in _GAVE_UP:
        return []
    episodes: list[str] = (await last.memo()).get("episodes", [])
    return episodes


class Runs:
    """Asks the Temporal that the worker is connected to; raises `Unavailable` when it doesn't answer."""

    @activity.defn(name="runs.of_service")
    async def of_service(self, request: ServiceRunsRequest) -> ServiceRuns:
        """List open runs of a service, and its schedules."""
        client, own = activity.client(), activity.info().workflow_run_id
        # The name is a key of the settings' catalogue; it is quoted all the same.
        name = request.service.replace("\\", "\\\\").replace('"', '\\"')
        query = f'ExecutionStatus = "Running" AND {_SERVICE} = "{name}"'
        try:
            found = [run async for run in client.list_workflows(query, limit=_MOST) if run.run_id != own]
            runs = [await _run(run) for run in found]
            schedules = await _schedules(client, request.service)
        except RPCError as error:
            unavailable("Temporal", error)
        return ServiceRuns(items=sorted(runs, key=lambda run: run.started_at), schedules=schedules)

    @activity.defn(name="runs.taken")
    async def taken(self, request: TakenRequest) -> Taken:
        """Read which firings the runs of a workflow ID have taken; none where there was no run."""
        try:
            last = await activity.client().get_workflow_handle(request.workflow_id).describe()
            return Taken(episodes=await dealt_with(last))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return Taken(episodes=[])
            unavailable("Temporal", error)


async def _run(run: WorkflowExecution) -> OpenRun:
    said: Any = (await run.memo()).get("runbook") or {}
    return OpenRun(
        workflow_id=run.id,
        procedure=run.workflow_type,
        title=str(said.get("title", "")),
        started_at=run.start_time,
        waiting_for=run.typed_search_attributes.get(_WAITING_FOR) or "",
    )


async def _schedules(client: Client, service: str) -> list[ScheduleState]:
    names = [found.id async for found in await client.list_schedules() if found.id not in _LOOKS]
    mine = [name for name in names if "/" not in name or name.endswith(f"/{service}")]
    described = [await _described(client, name) for name in sorted(mine)]
    return [
        ScheduleState(
            name=found.id,
            paused=found.schedule.state.paused,
            missed=found.info.num_actions_missed_catchup_window,
            upcoming=list(found.info.next_action_times),
        )
        for found in described
        if found is not None
    ]


async def _described(client: Client, name: str) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(name).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:  # else it was taken away in between
            raise
    return None
