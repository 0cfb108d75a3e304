"""Somebody cancels while an activity comes to its end, which no longer hears of it: the cancel counts all the same."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import CancelledError

from activities.kubernetes.states import Rollout
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, comes, result_of, texts, until
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Request


class Deaf(World):
    """A rollout that is waited for until the test says so, whoever cancels meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.over = asyncio.Event(), asyncio.Event()

    def activities(self) -> list[Callable[..., Any]]:
        @activity.defn(name="kubernetes.await_rollout")
        async def await_rollout(request: Any) -> Rollout:
            self.begun.set()
            await self.over.wait()
            return Rollout(complete=True, ready=3, replicas=3, revision=3, seconds=1)

        names = {"kubernetes.await_rollout"}
        others = [
            one for one in super().activities() if getattr(one, "__temporal_activity_definition").name not in names
        ]
        return [*others, await_rollout]


async def test_a_cancel_while_a_step_ends_well_is_not_forgotten(working: Working, client: Client) -> None:
    world = Deaf()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, P1Request(title="x"), "p1_incident")
        await world.begun.wait()
        await handle.cancel()

        async def asked() -> bool:
            pending = (await handle.describe()).raw_description.pending_activities
            return any(one.activity_type.name == "kubernetes.await_rollout" and one.state == 3 for one in pending)

        await comes(asked, "the cancel at the activity")
        world.over.set()
        with pytest.raises(WorkflowFailureError) as failed:
            await result_of(handle, 60)
        status = await until(handle, lambda _: True)
    assert isinstance(failed.value.cause, CancelledError)
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert "Rollout: complete" in texts(status), "what was done is told"
