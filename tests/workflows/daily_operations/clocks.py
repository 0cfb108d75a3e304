"""A schedule's run, made to come now."""

import asyncio
from typing import Any

from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, ScheduleHandle


async def fired(client: Client, schedule: ScheduleHandle) -> dict[str, Any]:
    """Trigger a schedule, and give its run's result once the schedule knows of it."""
    before = (await schedule.describe()).info.num_actions
    await schedule.trigger()
    while (found := await schedule.describe()).info.num_actions == before:
        await asyncio.sleep(0.05)
    action = found.info.recent_actions[-1].action
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    result: dict[str, Any] = await client.get_workflow_handle(action.workflow_id).result()
    while (await schedule.describe()).info.running_actions:
        await asyncio.sleep(0.05)
    return result
