"""Runs of every procedure on a real Temporal, that begin and then wait for steps which nobody takes.

What is sent to them is sent as raw payloads, past everything of ours that would keep bad ones from being sent.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage, WorkflowIdConflictPolicy
from temporalio.api.failure.v1 import Failure
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    QueryWorkflowRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker

from activities.catalogue.certificates import CertificatePolicy
from activities.catalogue.database import DatabasePolicy, ServerPolicy
from activities.catalogue.lookup import Catalogue
from activities.catalogue.procedures import Procedures
from activities.catalogue.run_ids import run_id
from activities.catalogue.service import ApprovalPolicy, GpuPolicy, ReleasePolicy, Service
from workers.interceptors import RunbookInterceptor
from workers.procedure_inputs import build
from workers.queues import Queues, name_of
from workers.registry import PROCEDURES, Procedure
from workers.runner import runner

SERVICE = Service(
    namespace="tensafe",
    deployment="tensafe-server",
    selector="app=tensafe",
    health_url="http://127.0.0.1:1/health",
    hpa="tensafe-server",
    gpu=GpuPolicy(cluster="tensafe-prod"),
    certificates=CertificatePolicy(),
    release=ReleasePolicy(release="tensafe", chart="./chart"),
    database=DatabasePolicy(
        name="tensafe",
        secret="current",
        servers={"primary": ServerPolicy(secret="one"), "replica-1": ServerPolicy(secret="two")},
    ),
)
AT_ONCE = 60.0
"""Seconds in which a busy machine answers; a run that is stuck never does."""


def payload(data: bytes | str, encoding: str = "json/plain", **metadata: bytes) -> Payload:
    raw = data if isinstance(data, bytes) else data.encode()
    return Payload(metadata={"encoding": encoding.encode(), **metadata}, data=raw)


def as_json(value: Any) -> Payload:
    return payload(json.dumps(value))


@dataclass(frozen=True)
class Boundary:
    """A queue on which all procedures are run."""

    client: Client
    queue: str

    async def start(
        self, entry: Procedure, payloads: list[Payload], *, workflow_id: str = ""
    ) -> WorkflowHandle[Any, Any]:
        """Start one; one that is open under the same ID makes way."""
        workflow_id = workflow_id or f"{entry.command}/{uuid4()}"
        answer = await self.client.workflow_service.start_workflow_execution(
            StartWorkflowExecutionRequest(
                namespace=self.client.namespace,
                workflow_id=workflow_id,
                workflow_type=WorkflowType(name=entry.workflow_type),
                task_queue=TaskQueue(name=self.queue),
                request_id=str(uuid4()),
                workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING,
                input=Payloads(payloads=payloads) if payloads else None,
            )
        )
        return self.client.get_workflow_handle(workflow_id, run_id=answer.run_id)

    async def begun(self, entry: Procedure) -> WorkflowHandle[Any, Any]:
        """Start it as its example says, and wait until it knows its service."""
        handle = await self.waiting(entry)
        await self.knows_its_service(handle)
        return handle

    async def waiting(self, entry: Procedure) -> WorkflowHandle[Any, Any]:
        """Start it as its example says."""
        own = run_id(entry.command, "tensafe-server") if entry.one_a_service else ""
        return await self.start(entry, [as_json(to_come(entry.example))], workflow_id=own)

    async def knows_its_service(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Wait until a run knows its service."""
        async with asyncio.timeout(AT_ONCE):
            while True:
                with suppress(RPCError):  # a busy machine answers later
                    if (await handle.query("status"))["service"]:
                        return
                await asyncio.sleep(0.05)

    async def signal(self, handle: WorkflowHandle[Any, Any], name: str, payloads: list[Payload]) -> None:
        """Send a signal; nothing is done where the run has ended meanwhile."""
        request = SignalWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=_of(handle),
            signal_name=name,
            input=Payloads(payloads=payloads) if payloads else None,
            request_id=str(uuid4()),
        )
        with _unless_ended():
            await self.client.workflow_service.signal_workflow_execution(request)

    async def end(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Terminate a run; nothing is done where it has ended."""
        with _unless_ended():
            await handle.terminate()

    async def update(self, handle: WorkflowHandle[Any, Any], name: str, payloads: list[Payload]) -> Failure | None:
        """Give why it was refused; None where it was taken, or the run has ended."""
        arguments = Payloads(payloads=payloads) if payloads else None
        stage = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
        request = UpdateWorkflowExecutionRequest(
            namespace=self.client.namespace,
            workflow_execution=_of(handle),
            wait_policy=WaitPolicy(lifecycle_stage=stage),
            request=Request(meta=Meta(update_id=str(uuid4())), input=Input(name=name, args=arguments)),
        )
        with _unless_ended():
            async with asyncio.timeout(AT_ONCE):
                answer = await self.client.workflow_service.update_workflow_execution(request)
            if answer.outcome.WhichOneof("value") == "failure":
                return answer.outcome.failure
        return None

    async def query(self, handle: WorkflowHandle[Any, Any], name: str, payloads: list[Payload]) -> str:
        """Give why it was refused; empty where it was answered."""
        query = WorkflowQuery(query_type=name, query_args=Payloads(payloads=payloads))
        request = QueryWorkflowRequest(namespace=self.client.namespace, execution=_of(handle), query=query)
        try:
            await self.client.workflow_service.query_workflow(request)
        except RPCError as error:
            return error.message
        return ""

    async def goes_on(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Fail where a run is stuck: one that is open answers, and its task doesn't fail again and again.

        On a busy machine a task may take longer than the SDK lets it: it is tried once more, and then it is through.
        """
        attempt = 0
        try:
            async with asyncio.timeout(AT_ONCE):
                while (await handle.describe()).status is WorkflowExecutionStatus.RUNNING:
                    with suppress(RPCError):
                        await handle.query("status", rpc_timeout=None)
                        attempt = (await handle.describe()).raw_description.pending_workflow_task.attempt
                        if attempt <= 1:
                            return
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{handle.id} is stuck: its task is tried for the {attempt}th time") from None

    async def failure(self, handle: WorkflowHandle[Any, Any]) -> BaseException:
        """Give why a run failed; it does so at once, and once and for all."""
        try:
            async with asyncio.timeout(AT_ONCE):
                await handle.result()
        except WorkflowFailureError as error:
            return error.cause
        raise AssertionError(f"{handle.id} has not failed")


@contextmanager
def _unless_ended() -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


def _of(handle: WorkflowHandle[Any, Any]) -> WorkflowExecution:
    return WorkflowExecution(workflow_id=handle.id, run_id=handle.run_id or "")


class NobodyElse(Queues):
    """All but what a worker knows by itself goes to a queue that has none."""

    def of(self, activity: str, longest: timedelta | None) -> str:
        """Give the queue of a step."""
        del longest
        known = {name_of(Catalogue.resolve), name_of(Procedures.build)}
        return self.base if activity in known else f"{self.base}-nobody"


@asynccontextmanager
async def boundary(client: Client) -> AsyncIterator[Boundary]:
    """Have all procedures worked on, on a queue of their own."""
    border = Boundary(client, f"boundary-{uuid4()}")
    async with working(border):
        yield border


def working(border: Boundary) -> Worker:
    """Work on all procedures, as far as needs no system outside: their first step after that waits for ever."""
    catalogue = Catalogue({"tensafe-server": SERVICE}, ApprovalPolicy(allow_unsigned=True))
    return Worker(
        border.client,
        task_queue=border.queue,
        workflows=[entry.workflow for entry in PROCEDURES],
        activities=[catalogue.resolve, Procedures(build).build],
        activity_executor=ThreadPoolExecutor(4),
        interceptors=[RunbookInterceptor(NobodyElse(border.queue))],
        workflow_runner=runner(sandbox=True),
    )


def to_come(example: dict[str, Any]) -> dict[str, Any]:
    """Move the times of an example into the days to come: a window in the past is refused."""
    tomorrow = datetime.now(UTC) + timedelta(days=2)
    times = {"starts_at": tomorrow, "ends_at": tomorrow + timedelta(hours=2)}
    return {**example, **{name: at.isoformat() for name, at in times.items() if name in example}}
