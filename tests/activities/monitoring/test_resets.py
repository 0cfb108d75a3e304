"""What a run had done before it was reset, on a real Temporal: twice from the first run, and once from each."""

import asyncio
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio import activity, workflow
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.common.effects import Change
from activities.monitoring.resets import DoneBefore, DoneBeforeRequest, Resets
from tests.plugins.patience import HANGS
from workers.clients import connect
from workers.settings import TemporalSettings

_SOON = timedelta(seconds=30)


@activity.defn(name="acts")
async def acts(asked: dict[str, dict[str, str]]) -> Change:
    return Change(target="x", after="done", applied=True)


@workflow.defn
class Acting:
    """Says what it had done, and does one thing that is called by its run."""

    def __init__(self) -> None:
        self.done: DoneBefore | None = None

    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(timedelta(milliseconds=1))  # each reset is to behind this
        self.done = await workflow.execute_activity_method(
            Resets.done, DoneBeforeRequest(), start_to_close_timeout=_SOON
        )
        asked = {"effect": {"key": workflow.info().run_id}}
        await workflow.execute_activity(acts, asked, start_to_close_timeout=_SOON)
        await workflow.wait_condition(lambda: False)

    @workflow.query
    def had_done(self) -> DoneBefore | None:
        """Tell it."""
        return self.done


async def _reset(client: Client, workflow_id: str, run_id: str) -> str:
    answer = await client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            reason="a person's click",
            workflow_task_finish_event_id=4,
            request_id=str(uuid4()),
        )
    )
    return answer.run_id


async def _acted(handle: WorkflowHandle[Any, Any]) -> DoneBefore:
    ends = time.monotonic() + HANGS
    while time.monotonic() < ends:
        history = await handle.fetch_history()
        ended = sum(event.HasField("activity_task_completed_event_attributes") for event in history.events)
        if ended == 2:
            found = await handle.query(Acting.had_done)
            assert found is not None
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it has not acted")


@pytest.mark.parametrize("prefix", ["resets", 'it\'s "mine"'], ids=["plain", "with quotes"])
@pytest.mark.parametrize("from_the_first", [True, False])
async def test_a_second_reset_knows_what_the_first_one_went_on_to_do(
    temporal_address: str, prefix: str, *, from_the_first: bool
) -> None:
    client, name = await connect(TemporalSettings(address=temporal_address)), f"{prefix}-{uuid4()}"
    async with Worker(
        client,
        task_queue=name,
        workflows=[Acting],
        activities=[acts, Resets().done],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        started = await client.start_workflow(Acting.run, id=name, task_queue=name)
        first = started.result_run_id or ""
        assert not (await _acted(started)).begun
        second = await _reset(client, name, first)
        assert (await _acted(client.get_workflow_handle(name, run_id=second))).begun == [first]
        third = await _reset(client, name, first if from_the_first else second)
        last = client.get_workflow_handle(name, run_id=third)
        assert {*(await _acted(last)).begun} == {first, second}
        await last.terminate("the test has seen enough")
