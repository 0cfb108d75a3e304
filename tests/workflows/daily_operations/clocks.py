"""A schedule's run, made to come now."""

from typing import Any

from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, ScheduleHandle

from tests.workflows.steering import comes


async def fired(client: Client, schedule: ScheduleHandle) -> dict[str, Any]:
    """Trigger a schedule, and give its run's result once the schedule knows of it."""
    before = (await schedule.describe()).info.num_actions
    await schedule.trigger()

    async def more() -> bool:
        return (await schedule.describe()).info.num_actions > before

    async def idle() -> bool:
        return not (await schedule.describe()).info.running_actions

    await comes(more, f"a run of {schedule.id}")
    action = (await schedule.describe()).info.recent_actions[-1].action
    assert isinstance(action, ScheduleActionExecutionStartWorkflow)
    result: dict[str, Any] = await client.get_workflow_handle(action.workflow_id).result()
    await comes(idle, f"that {schedule.id} knows that its run has ended")
    return result
