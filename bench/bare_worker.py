"""`python -m bench.bare_worker ADDRESS QUEUE`: the least a worker can be: the SDK, one workflow, one activity."""

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


@activity.defn
async def nothing() -> None:
    """Do nothing."""


@workflow.defn
class Nothing:
    """Does nothing."""

    @workflow.run
    async def run(self) -> None:
        """Do it."""
        await workflow.execute_activity(nothing, start_to_close_timeout=timedelta(seconds=1))


async def main(address: str, queue: str) -> None:
    """Work until killed."""
    client = await Client.connect(address)
    runner = UnsandboxedWorkflowRunner()
    await Worker(client, task_queue=queue, workflows=[Nothing], activities=[nothing], workflow_runner=runner).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
