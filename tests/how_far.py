"""How far a run has come, for failures: where a test only says that a run did not end, nobody learns why."""

from datetime import timedelta
from typing import Any

from temporalio.api.enums.v1 import EventType, PendingWorkflowTaskState
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.service import RPCError

from workflows.platform.run_status import RunStatus

_ANSWERS_WITHIN = timedelta(seconds=10)
_LAST_EVENTS = 12


async def how_far(client: Client, handle: WorkflowHandle[Any, Any]) -> str:
    """Say a run's phase, what it waits for, its timeline and its steps in flight; the runs that it waits for as well.

    Where no worker answers, the end of its history is told instead.
    """
    described = (await handle.describe()).raw_description
    lines = [f"{handle.id}: {described.workflow_execution_info.type.name}, {await _said(handle)}"]
    if described.HasField("pending_workflow_task"):
        task = described.pending_workflow_task
        lines.append(f"workflow task: {PendingWorkflowTaskState.Name(task.state)}, attempt {task.attempt}")
    for one in described.pending_activities:
        failed = f": {one.last_failure.message}" if one.HasField("last_failure") else ""
        lines.append(f"in flight: {one.activity_type.name}, attempt {one.attempt}{failed}")
    children = [client.get_workflow_handle(run.workflow_id, run_id=run.run_id) for run in described.pending_children]
    lines += [await how_far(client, child) for child in children]
    return "\n".join(lines)


async def how_far_all(client: Client, task_queue: str) -> str:
    """Say it of every open run of a task queue."""
    query = f"TaskQueue = '{task_queue}' AND ExecutionStatus = 'Running'"
    runs = [run async for run in client.list_workflows(query) if run.parent_id is None]
    told = [await how_far(client, client.get_workflow_handle(run.id, run_id=run.run_id)) for run in runs]
    return "\n".join(told) or f"no run of {task_queue} is open"


async def _said(handle: WorkflowHandle[Any, Any]) -> str:
    try:
        status: RunStatus = await handle.query("status", result_type=RunStatus, rpc_timeout=_ANSWERS_WITHIN)
    except (RPCError, WorkflowQueryFailedError) as error:
        history = (await handle.fetch_history()).events[-_LAST_EVENTS:]
        names = (EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history)
        return f"does not answer ({error}); its last events: {', '.join(names)}"
    entries = [f"{entry.at:%H:%M:%S} {entry.kind}: {entry.text}" for entry in status.entries]
    asked = ", ".join(question.id for question in status.questions) or "nothing"
    return "\n".join([f"phase {status.phase}, waits for {status.waiting_for or 'nobody'}, asks {asked}", *entries])
