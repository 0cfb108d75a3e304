"""A run is reset on a real Temporal, and what it had done before can't be read: what it goes on with, and what not."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from activities.monitoring.resets import DoneBefore, DoneBeforeRequest
from tests.crash.leftovers import reset
from tests.workflows.disaster_recovery.restore.restores import request as restore
from tests.workflows.steering import cause, comes, result_of, until
from tests.workflows.worlds.damaged import DamagedWorld
from tests.workflows.worlds.platform import Platform
from workers.clients import connect
from workers.registry import procedure
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.platform.run_status import RunStatus
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest


@activity.defn(name="resets.done")
def gone(request: DoneBeforeRequest) -> DoneBefore:
    raise ApplicationError("is not kept any more", type="NotFound", non_retryable=True)


def words(status: RunStatus) -> str:
    return "\n".join(entry.text for entry in status.entries)


async def been_reset(
    client: Client, world: Platform, name: str, asked: BaseModel, phase: str
) -> tuple[WorkflowHandle[Any, Any], int, Any]:
    """Reset a run in a phase; gives the one that goes on, how many effects there were then, and its worker."""
    queue = f"unread-{uuid4()}"
    kind = procedure(name).workflow
    worker = build(client, TemporalSettings(task_queue=queue), [*world.activities(), gone], workflows=[kind])
    await worker.__aenter__()
    first = await client.start_workflow(procedure(name).workflow_type, asked, id=queue, task_queue=queue)
    await until(first, lambda status: status.phase == phase)

    async def idle() -> bool:
        return not (await first.describe()).raw_description.pending_activities

    await comes(idle, f"that {queue} waits for nothing that works")
    before = len(world.effects)
    return await reset(client, first), before, worker


async def test_a_restore_refuses_and_does_nothing(temporal_address: str) -> None:
    world, client = DamagedWorld(), await connect(TemporalSettings(address=temporal_address))
    handle, before, worker = await been_reset(client, world, "point_in_time_restore", restore(), "Decide")
    try:
        with pytest.raises(WorkflowFailureError) as failed:
            await result_of(handle)
    finally:
        await worker.__aexit__(None, None, None)
    assert "what it had done before can't be read" in cause(failed.value).message
    assert len(world.effects) == before


async def test_a_scale_up_says_so_and_goes_on_by_what_it_finds(temporal_address: str) -> None:
    world, client = Platform(), await connect(TemporalSettings(address=temporal_address))
    asked = EmergencyScaleUpRequest()
    handle, _, worker = await been_reset(client, world, "emergency_scale_up", asked, "Autoscaler paused")
    try:
        status = await until(handle, lambda now: "had done before can't be read" in words(now))
        assert "had done nothing" not in words(status)
        assert not any(entry.kind == "decision" and "was reset" in entry.text for entry in status.entries)
    finally:
        await handle.terminate("the test has seen enough")
        await worker.__aexit__(None, None, None)
