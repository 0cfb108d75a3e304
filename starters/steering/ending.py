"""How a run ended, and who ended it: its own outcome, or what Temporal's history says of a cancellation."""

from contextlib import suppress

from pydantic import BaseModel
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from starters.steering import runs
from starters.steering.runs import Run
from workflows.platform.run_status import RunStatus

_PAGE = 200
_PAGES = 5
_WORDS = {
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.TIMED_OUT: "timed out",
    WorkflowExecutionStatus.CANCELED: "cancelled",
    WorkflowExecutionStatus.TERMINATED: "terminated",
    WorkflowExecutionStatus.CONTINUED_AS_NEW: "goes on in another run",
}


class Ending(BaseModel):
    """The end of a run."""

    how: str
    by: str = ""
    why: str = ""


async def ending_of(run: Run, status: RunStatus | None) -> Ending:
    """Say how a run that has ended did."""
    kind = run.description.status
    if kind is WorkflowExecutionStatus.COMPLETED:
        last = [entry for entry in status.entries if entry.kind == "decision" and entry.who] if status else []
        said = last[-1] if last else None
        return Ending(
            how=(status.outcome if status else "") or "completed",
            by=said.who if said else "",
            why=said.text if said else "",
        )
    how = _WORDS.get(kind, run.state) if kind else run.state
    if kind in {WorkflowExecutionStatus.CANCELED, WorkflowExecutionStatus.TERMINATED}:
        by, why = await _asked(run)
        if kind is WorkflowExecutionStatus.TERMINATED:
            why = "; ".join(filter(None, ("nothing was put back", why)))
        return Ending(how=how, by=by, why=why)
    return Ending(how=how, why=await runs.failure_of(run))


async def _asked(run: Run) -> tuple[str, str]:
    """Give who has asked for the end, and why; the newest pages of the history, since it stands near its end."""
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=run.client.namespace,
        maximum_page_size=_PAGE,
        execution=WorkflowExecution(workflow_id=run.workflow_id, run_id=run.description.run_id),
    )
    with suppress(RPCError):
        for _ in range(_PAGES):
            page = await run.client.workflow_service.get_workflow_execution_history_reverse(request)
            for event in page.history.events:
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                    told = event.workflow_execution_cancel_requested_event_attributes
                    return _person(told.cause, told.identity)
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
                    ended = event.workflow_execution_terminated_event_attributes
                    return _person(ended.reason, ended.identity)
            if not page.next_page_token:
                break
            request.next_page_token = page.next_page_token
    return "", ""


def _person(why: str, client: str) -> tuple[str, str]:
    """Take the person out of what our own command gives as the cause; else the client's name is all there is."""
    who, _, rest = why.partition(": ")
    return (who, rest) if who.endswith(")") and " (" in who else (client, why)
