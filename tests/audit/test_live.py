"""A run is fetched from a real Temporal with all that belongs to it."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest, ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from audit.errors import RunNotFound
from audit.live import Fetched, family, fetch
from audit.payloads import Decoder
from tests.plugins.patience import HANGS
from workers.clients import connect
from workers.settings import TemporalSettings


@workflow.defn
class Grandchild:
    @workflow.run
    async def run(self) -> str:
        return "done"


@workflow.defn
class Twice:
    """Goes on as a new run once, and starts a child that starts another in each."""

    @workflow.run
    async def run(self, left: int) -> str:
        await workflow.execute_child_workflow(Between.run, id=f"{workflow.info().workflow_id}-child-{left}")
        if left:
            workflow.continue_as_new(left - 1)
        return "the end"


@workflow.defn
class Between:
    @workflow.run
    async def run(self) -> None:
        await workflow.execute_child_workflow(Grandchild.run, id=f"{workflow.info().workflow_id}-child")


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(TemporalSettings(address=temporal_address))


async def ran(client: Client) -> str:
    name = f"twice-{uuid4()}"
    kinds = [Twice, Between, Grandchild]
    async with Worker(client, task_queue=name, workflows=kinds, workflow_runner=UnsandboxedWorkflowRunner()):
        await client.execute_workflow(Twice.run, 1, id=name, task_queue=name, run_timeout=timedelta(minutes=1))
    return name


def names(found: list[Fetched]) -> list[str]:
    return [one.workflow_id for one in found]


async def test_all_that_belongs_to_a_run_is_found_from_any_of_its_runs(client: Client) -> None:
    name = await ran(client)
    whole = [one async for one in family(client, name)]
    stories = [one.story(Decoder()) for one in whole]

    assert names(whole) == [
        name,
        f"{name}-child-1",
        f"{name}-child-1-child",
        name,
        f"{name}-child-0",
        f"{name}-child-0-child",
    ]
    assert [story.status for story in stories[::3]] == ["continued as new", "completed"]
    assert stories[0].continued_to == whole[3].run_id
    assert stories[3].continued_from == whole[0].run_id
    assert stories[3].first_run_id == whole[0].run_id
    assert stories[1].parent is not None
    assert (stories[1].parent.workflow_id, stories[1].parent.run_id) == (name, whole[0].run_id)
    assert (stories[3].trigger.kind, stories[1].trigger.kind) == ("earlier run", "parent")
    assert stories[2].result == "done"

    from_the_first = [one.run_id async for one in family(client, name, whole[0].run_id)]
    assert from_the_first == [one.run_id for one in whole]


async def test_what_retention_has_taken_is_left_out(client: Client) -> None:
    name = await ran(client)
    whole = [one async for one in family(client, name)]
    await _deleted(client, whole[1])
    left = [one async for one in family(client, name)]

    assert names(left) == [name, name, f"{name}-child-0", f"{name}-child-0-child"]


async def _deleted(client: Client, one: Fetched) -> None:
    execution = WorkflowExecution(workflow_id=one.workflow_id, run_id=one.run_id)
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(namespace=client.namespace, workflow_execution=execution)
    )
    async with asyncio.timeout(HANGS):
        with suppress(RunNotFound):
            while True:
                await fetch(client, one.workflow_id, one.run_id)
                await asyncio.sleep(0.1)


async def test_a_run_that_was_reset_belongs_to_the_one_it_came_from(client: Client) -> None:
    name = await ran(client)
    (*_, last) = [one async for one in family(client, name) if one.workflow_id == name]
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=name, run_id=last.run_id),
            reason="once more",
            workflow_task_finish_event_id=3,
            request_id=str(uuid4()),
        )
    )
    again = (await fetch(client, name, answer.run_id)).story(Decoder())

    assert (again.continued_from, again.trigger.kind) == (last.run_id, "earlier run")
    found = [one.run_id async for one in family(client, name) if one.workflow_id == name]
    assert found[-2:] == [last.run_id, answer.run_id]
    await client.get_workflow_handle(name).terminate(reason="enough")


async def test_a_run_that_goes_on_reads_as_running(client: Client) -> None:
    name = f"waiting-{uuid4()}"
    handle = await client.start_workflow(Twice.run, 1, id=name, task_queue=name)
    one = await fetch(client, name)

    assert one.run_id == handle.first_execution_run_id
    assert one.story(Decoder()).status == "running"
    await handle.terminate(reason="enough")
    assert (await handle.describe()).status is WorkflowExecutionStatus.TERMINATED
    assert one.workflow_id == name
    ended = (await fetch(client, name)).story(Decoder())
    assert (ended.status, "enough" in ended.failure) == ("terminated", True)


async def test_a_run_that_never_was_is_said_to_be_unknown(client: Client) -> None:
    with pytest.raises(RunNotFound, match="no run 'never-was'"):
        await fetch(client, "never-was")
    with pytest.raises(RunNotFound):
        await fetch(client, "never-was", str(uuid4()))
