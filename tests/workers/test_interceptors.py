"""Workers heartbeat for activities that don't, and repeat the details of those that do."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from workers.interceptors import RunbookInterceptor

BEAT = timedelta(seconds=3)
LONGER = BEAT.total_seconds() + 1


@activity.defn
def silent() -> int:
    time.sleep(LONGER)
    return activity.info().attempt


@activity.defn
def once_told() -> list[str]:
    """Tell something, be silent for long, fail; the next attempt finds what was told."""
    if activity.info().attempt > 1:
        return [str(detail) for detail in activity.info().heartbeat_details]
    activity.heartbeat("told")
    time.sleep(LONGER)
    raise RuntimeError


@workflow.defn
class Lasting:
    @workflow.run
    async def run(self, name: str) -> Any:
        return await workflow.execute_activity(
            name,
            start_to_close_timeout=timedelta(minutes=2),
            heartbeat_timeout=BEAT,
            retry_policy=RetryPolicy(maximum_attempts=2, initial_interval=timedelta(milliseconds=100)),
        )


async def lasting(address: str, name: str) -> Any:
    client = await Client.connect(address)
    async with Worker(
        client,
        task_queue=(queue := f"q-{uuid4()}"),
        workflows=[Lasting],
        activities=[silent, once_told],
        activity_executor=ThreadPoolExecutor(4),
        interceptors=[RunbookInterceptor()],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        return await client.execute_workflow(Lasting.run, name, id=f"heart-{uuid4()}", task_queue=queue)


async def test_a_silent_activity_outlives_its_heartbeat_timeout(temporal_address: str) -> None:
    assert await lasting(temporal_address, "silent") == 1


async def test_what_an_activity_told_is_not_wiped(temporal_address: str) -> None:
    assert await lasting(temporal_address, "once_told") == ["told"]
