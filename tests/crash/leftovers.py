"""What a run that has ended without its last steps leaves: resets, sweeps, and what they tell."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle

from activities.autoscaling.objects import HOLD, Marker
from sandbox import kubernetes_api
from tests.crash import worker
from tests.crash.forks import Fork
from tests.crash.harness import in_time, prepared
from tests.crash.people import when
from tests.crash.scenario import Case
from tests.crash.scenarios.emergency_scale_up import EmergencyScaleUpScenario, inside_the_lease
from tests.crash.world import scaled_object
from workers.clients import connect
from workers.settings import TemporalSettings
from workflows.platform.run_status import RunStatus
from workflows.upkeep.sweep_holds import SweepHolds, SweepRequest, SweepResult


def held(case: Case) -> Marker | None:
    with kubernetes_api.connect(case.servers.kubeconfig) as api:
        annotation = scaled_object(case, api)["metadata"]["annotations"].get(HOLD)
    return Marker.model_validate_json(annotation) if annotation else None


Handle = WorkflowHandle[Any, Any]


class LeftScenario(EmergencyScaleUpScenario):
    name = "emergency-scale-up-left"
    lease = timedelta(seconds=20)
    """Time for a busy machine to do inside of it what a test does."""


@contextlib.asynccontextmanager
async def running(
    case: Case,
    scenario: LeftScenario,
    kill: str | None = None,
    reached: Callable[[RunStatus], bool] = inside_the_lease,
) -> AsyncIterator[tuple[Client, Handle, Fork]]:
    """Give a run inside its lease, or wherever it is to be, with its worker."""
    client = await connect(TemporalSettings(address=case.servers.temporal))
    async with prepared(scenario, client, case) as start:
        process = worker.start(case, kill)
        try:
            async with in_time(client, case):
                handle = await start()
                await when(handle, reached)
                yield client, handle, process
        finally:
            process.kill()


async def reset(client: Client, handle: Handle) -> Handle:
    """Reset it to its beginning, as the Temporal UI does; gives the run that goes on."""
    first = [
        event.event_id
        async for event in handle.fetch_history_events()
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    execution = WorkflowExecution(workflow_id=handle.id, run_id=handle.result_run_id or "")
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=execution,
            reason="a person's click",
            workflow_task_finish_event_id=first[0],
            request_id=f"{handle.id}-{datetime.now(UTC)}",
        )
    )
    return client.get_workflow_handle(handle.id, run_id=answer.run_id)


async def sweep(client: Client, case: Case) -> SweepResult:
    return await client.execute_workflow(
        SweepHolds.run, SweepRequest(), id=f"sweep-{case.name}-{datetime.now(UTC)}", task_queue=case.task_queue
    )


def told(status: RunStatus) -> str:
    return "\n".join(entry.text for entry in status.entries)
