"""Runs of P1, and what people see of them."""

from datetime import UTC, datetime
from uuid import uuid4

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy

from activities.catalogue.run_ids import run_id
from activities.records.alerts import Alert
from tests.workflows.steering import SERVICE, quiet
from tests.workflows.steering import until as reached
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1_incident import P1Incident, P1Request, P1Result
from workflows.platform.run_status import RunStatus

MOST_MESSAGES = 12
"""That a P1 posts: a channel with more of them is read by nobody."""


CLOSING = Closing(who="ada", role="commander", resolution="Rolled back to v1.2.3", root_cause="Bad release v1.2.4")


def firing(starts_at: datetime | None = None) -> Alert:
    return Alert(
        source="alertmanager",
        fingerprint="f00",
        name="TensafeServerDown",
        starts_at=starts_at or datetime(2026, 2, 4, 3, tzinfo=UTC),
        annotations={"summary": "API down"},
    )


async def start(client: Client, queue: str, request: P1Request | None = None) -> WorkflowHandle[P1Incident, P1Result]:
    request = request or P1Request(alert=firing())
    own = request.alert is None and not request.dry_run
    return await client.start_workflow(
        P1Incident.run,
        request,
        id=run_id("p1-incident", SERVICE) if own else f"p1-{uuid4()}",
        task_queue=queue,
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
    )


async def until(handle: WorkflowHandle[P1Incident, P1Result], waiting_for: str) -> RunStatus:
    return await reached(handle, lambda status: status.waiting_for == waiting_for)


async def abandon(handle: WorkflowHandle[P1Incident, P1Result]) -> None:
    """End a run that nobody closes."""
    await quiet(handle)
    await handle.terminate()


async def close(handle: WorkflowHandle[P1Incident, P1Result]) -> P1Result:
    await until(handle, "close")
    await handle.execute_update(P1Incident.close, CLOSING)
    return await handle.result()


def texts(status: RunStatus) -> str:
    return "\n".join(entry.text for entry in status.entries)
