"""`make replay-live` on a real Temporal: it names the run that today's code can't take up, and no other.

The good one was reset: what it does then depends on that, and the replayer has to know.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities.monitoring.resets import Resets
from tests.crash.leftovers import reset
from tests.plugins.patience import HANGS
from tests.replay.live import replayed
from tests.workflows.worlds.platform import Platform
from workers.clients import connect
from workers.settings import Settings, TemporalSettings
from workers.worker import build
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest


@workflow.defn(name="EmergencyScaleUp", sandboxed=False)
class Older:
    """What an earlier release may have done: another beginning."""

    @workflow.run
    async def run(self, request: EmergencyScaleUpRequest) -> None:
        del request
        await asyncio.sleep(3600)


async def paused(handle: WorkflowHandle[Any, Any]) -> None:
    async with asyncio.timeout(HANGS):
        while (await handle.query(EmergencyScaleUp.status)).phase != "Autoscaler paused":
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_open_runs_that_would_be_stuck_are_named(
    temporal_address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    queue = f"replay-live-{uuid4()}"
    settings = Settings(temporal=TemporalSettings(address=temporal_address, task_queue=queue))
    client = await connect(settings.temporal)
    good, bad = f"{queue}-good", f"{queue}-bad"
    request = EmergencyScaleUpRequest()
    kinds = [EmergencyScaleUp]
    resets = Resets()
    activities: list[Callable[..., Any]] = [
        *Platform().activities(),
        resets.before_reset,
        resets.child,
        resets.done,
    ]
    async with build(client, settings.temporal, activities, workflows=kinds):
        first = await client.start_workflow(EmergencyScaleUp.run, request, id=good, task_queue=queue)
        await paused(first)
        handle = await reset(client, first)
        await paused(handle)
    async with Worker(client, task_queue=queue, workflows=[Older], workflow_runner=UnsandboxedWorkflowRunner()):
        older = await client.start_workflow("EmergencyScaleUp", request, id=bad, task_queue=queue)
        async with asyncio.timeout(HANGS):
            while (await older.describe()).history_length < 5:  # its timer is there
                await asyncio.sleep(0.1)
    try:
        async with asyncio.timeout(HANGS):
            broken: dict[str, str] = {}
            while "2 of EmergencyScaleUp" not in capsys.readouterr().out:  # visibility comes later
                await asyncio.sleep(0.5)
                broken = await replayed(client, settings, 'ExecutionStatus = "Running"')
        assert [run.partition("@")[0] for run in broken] == [bad], broken
        (why,) = broken.values()
        assert "nondeterminism" in why.lower()
        assert await replayed(client, settings, f"WorkflowId = '{good}'") == {}
    finally:
        for each in (handle, older):
            await each.terminate("the test is over")
