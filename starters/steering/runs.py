"""One run: what Temporal says of it, and what it says about itself."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetStickyTaskQueueRequest
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from starters.steering.errors import NoSuchRun, Refused, SteeringError, Unreachable
from starters.steering.session import Session
from workflows.platform.run_status import RunStatus

_QUERY_WITHIN = timedelta(seconds=5)
_QUERY_SOON = timedelta(seconds=2)
"""After that, the worker that has the run in memory counts as dead."""


@dataclass(frozen=True)
class Run:
    """One run, as Temporal describes it."""

    handle: WorkflowHandle[Any, Any]
    description: WorkflowExecutionDescription
    link: str
    client: Client

    @property
    def workflow_id(self) -> str:
        """Its workflow ID."""
        return self.description.id

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.description.status is WorkflowExecutionStatus.RUNNING

    @property
    def state(self) -> str:
        """Temporal's word for it, for example `running` or `completed`."""
        status = self.description.status
        return "unknown" if status is None else status.name.lower().replace("_", " ")

    @property
    def doing(self) -> tuple[str, ...]:
        """What it does just now: its activities, and why one is tried again."""
        lines = []
        for pending in self.description.raw_description.pending_activities:
            line = pending.activity_type.name
            if pending.attempt > 1:
                why = pending.last_failure.message
                line += f", attempt {pending.attempt}{f': {why}' if why else ''}"
            lines.append(line)
        return tuple(lines)

    async def free(self) -> None:
        """Let any worker take the run up next, and not first the one that has it in memory.

        That one may have been killed a moment ago, and a word would wait for it for as long as
        `[worker] dead_worker_keeps_runs` says. It costs one replay.
        """
        execution = WorkflowExecution(workflow_id=self.workflow_id, run_id=self.description.run_id)
        request = ResetStickyTaskQueueRequest(namespace=self.client.namespace, execution=execution)
        with suppress(RPCError):  # whoever may not do this waits
            await self.client.workflow_service.reset_sticky_task_queue(request)


async def again(session: Session, run: Run) -> Run:
    """Describe a run anew."""
    return await describe(session, run.workflow_id, run.description.run_id) or run


async def describe(session: Session, workflow_id: str, run_id: str | None) -> Run | None:
    """Describe a run by its exact names; None where there is none."""
    try:
        description = await session.client.get_workflow_handle(workflow_id, run_id=run_id).describe()
    except RPCError as error:
        if error.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.INVALID_ARGUMENT}:
            return None
        raise
    handle = session.client.get_workflow_handle(workflow_id, run_id=description.run_id)
    return Run(handle, description, session.link(workflow_id, description.run_id), session.client)


async def status_of(run: Run) -> RunStatus:
    """Ask a run, also an ended one, for its status.

    Raises:
        Unreachable: no worker answers for it.
        Refused: it has no status (it failed before it began, or is no procedure).
        NoSuchRun: Temporal no longer keeps it.

    """
    try:
        return await _ask(run)
    except WorkflowQueryFailedError:
        raise Refused(f"{run.workflow_id} ({run.state}) has no status to show") from None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NoSuchRun(f"{run.workflow_id} is no longer kept by Temporal") from None
        if not run.running:
            raise Unreachable(
                "no worker answers, so what this run has told can't be shown now; its record needs none "
                "(`runbooks audit show`)"
            ) from None
        raise Unreachable(
            "no worker answers for this run: is one running? (`python -m workers`) If one was killed a moment ago, "
            "another takes the run up soon: ask again in half a minute"
        ) from None


async def told(run: Run) -> RunStatus | None:
    """Ask a run for its status; None where it has none, or nobody answers for it."""
    with suppress(SteeringError):
        return await status_of(run)
    return None


async def _ask(run: Run) -> RunStatus:
    try:
        answer: RunStatus = await run.handle.query("status", result_type=RunStatus, rpc_timeout=_QUERY_SOON)
    except RPCError as error:
        if error.status not in {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}:
            raise
        await run.free()
        answer = await run.handle.query("status", result_type=RunStatus, rpc_timeout=_QUERY_WITHIN)
    return answer


async def failure_of(run: Run) -> str:
    """Say why a run failed; empty where it didn't."""
    if run.description.status not in {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT}:
        return ""
    try:
        await run.handle.result(follow_runs=False)
    except WorkflowFailureError as error:
        return reason(error)
    return ""


def reason(error: WorkflowFailureError) -> str:
    """Give the innermost sentence of a run's failure."""
    cause: BaseException = error
    while isinstance(inner := cause.__cause__, BaseException):
        cause = inner
    return cause.message if isinstance(cause, ApplicationError) else str(cause)
