"""No workflow task of a test fails because the machine is busy; where the SDK keeps its limit elsewhere, this fails."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker, _workflow

from tests.plugins import deadlock_limit
from workers.settings import TemporalSettings
from workers.worker import build

thoughts: list[int] = []


@workflow.defn(sandboxed=False)
class ThinksOnce:
    @workflow.run
    async def run(self) -> None:
        thoughts.append(1)
        hang = time.monotonic() + 60
        while len(thoughts) == 1 and time.monotonic() < hang:
            pass


@pytest.fixture
def short() -> Iterator[None]:
    deadlock_limit.relax(0.3)
    yield
    deadlock_limit.relax()


async def test_the_limit_that_is_set_is_the_one_that_counts(time_skipping: WorkflowEnvironment, short: None) -> None:
    thoughts.clear()
    queue = f"thinks-{uuid4()}"
    async with Worker(time_skipping.client, task_queue=queue, workflows=[ThinksOnce]):
        handle = await time_skipping.client.start_workflow(ThinksOnce.run, id=queue, task_queue=queue)
        await handle.result()
    failed = [
        event.workflow_task_failed_event_attributes.failure.message
        for event in (await handle.fetch_history()).events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    assert "didn't yield within 0.3 second" in failed[0]


async def test_the_workers_and_replayers_of_tests_have_a_minute(
    time_skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker: Any = build(
        time_skipping.client, TemporalSettings(task_queue=f"thinks-{uuid4()}"), [], workflows=[ThinksOnce]
    )
    assert worker._workflow_worker._deadlock_timeout_seconds == deadlock_limit.SECONDS

    ran = []
    run = _workflow._WorkflowWorker.run

    async def watched(self: Any) -> None:
        ran.append(self._deadlock_timeout_seconds)
        await run(self)

    monkeypatch.setattr(_workflow._WorkflowWorker, "run", watched)
    async with Replayer(workflows=[ThinksOnce], workflow_runner=UnsandboxedWorkflowRunner()).workflow_replay_iterator(
        nothing()
    ) as replayed:
        assert [one async for one in replayed] == []
    assert ran == [deadlock_limit.SECONDS]


async def nothing() -> Any:
    return
    yield
