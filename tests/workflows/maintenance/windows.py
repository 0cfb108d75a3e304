"""Windows, their clock and their words."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.steering import Handle, begin, cause, texts, until, waiting_for
from tests.workflows.worlds.maintained import Maintained
from workflows.maintenance.maintenance_window import MaintenanceWindow, MaintenanceWindowRequest
from workflows.maintenance.window_words import TickTask
from workflows.platform.approval import Decision

NAME = "maintenance_window"


ADA = {"who": "ada", "role": "on-call"}


VACUUM = {"procedure": "database-maintenance", "input": {"tables": ["jobs"]}, "takes": "PT30M"}


SWAP = {"id": "swap", "check": "Swap the cable", "takes": "PT10M"}


HOUR = timedelta(hours=1)


class Clock:
    """The test server's, from which all times of a test count."""

    def __init__(self, environment: WorkflowEnvironment, now: datetime) -> None:
        self.environment = environment
        self.start = now.replace(microsecond=0) + timedelta(hours=30)

    @property
    def day(self) -> str:
        """The start's."""
        return self.day_of(self.start)

    @staticmethod
    def day_of(at: datetime) -> str:
        """Give a time's day in the service's time zone."""
        return f"{at.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d}"

    def request(self, *, hours: float = 2, **fields: Any) -> MaintenanceWindowRequest:
        fields.setdefault("starts_at", self.start)
        if "ends_at" not in fields:
            fields["ends_at"] = fields["starts_at"] + hours * HOUR
        return MaintenanceWindowRequest.model_validate({"title": "Database upgrade", **fields})

    async def reach(self, at: datetime) -> None:
        left = at - await self.environment.get_current_time()
        if left > timedelta(0):
            await self.environment.sleep(left)


async def entered(handle: Handle) -> None:
    await until(handle, lambda status: "Enter the window" in texts(status))


async def started(client: Client, queue: str, clock: Clock, **fields: Any) -> Handle:
    """Start a run, and let its time come."""
    handle = await begin(client, queue, clock.request(**fields), NAME)
    await entered(handle)
    await clock.reach(clock.start + timedelta(seconds=1))
    return handle


async def decide(handle: Handle, question: str, choice: str) -> None:
    await waiting_for(handle, f"decide {question}")
    await handle.execute_update("decide", Decision(**ADA, question=question, choice=choice))


async def tick(handle: Handle, task: str = "swap", **fields: Any) -> str:
    await waiting_for(handle, f"tick {task}")
    return str(await handle.execute_update(MaintenanceWindow.tick, TickTask(**ADA, task=task, **fields)))


async def refused(handle: Handle, word: Any) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await handle.execute_update(word.UPDATE, word)
    return str(failure.value.cause)


async def fails(client: Client, queue: str, request: MaintenanceWindowRequest) -> str:
    handle = await begin(client, queue, request, NAME)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    found = cause(failed.value)
    return f"{found.type}: {found.message}"


async def until_ended(handle: Handle) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, CancelledError)


async def scheduled(handle: Handle, world: Maintained, clock: Clock) -> None:
    await entered(handle)


async def announced(handle: Handle, world: Maintained, clock: Clock) -> None:
    await scheduled(handle, world, clock)
    await clock.reach(clock.start - 2 * HOUR)
    await until(handle, lambda status: "Mail: maintenance_scheduled" in texts(status))


async def at_work(handle: Handle, world: Maintained, clock: Clock) -> None:
    world.slow = "jobs"
    await entered(handle)
    await clock.reach(clock.start + timedelta(seconds=1))
    await until(handle, lambda _: world.at_work)


async def ticking(handle: Handle, world: Maintained, clock: Clock) -> None:
    await entered(handle)
    await clock.reach(clock.start + timedelta(seconds=1))
    await waiting_for(handle, "tick swap")


async def overrunning(handle: Handle, world: Maintained, clock: Clock) -> None:
    await ticking(handle, world, clock)
    await clock.reach(clock.start + 2 * HOUR + timedelta(seconds=1))
    await waiting_for(handle, "decide overrun-1")


async def verifying(handle: Handle, world: Maintained, clock: Clock) -> None:
    await ticking(handle, world, clock)
    world.healthy = False
    await tick(handle)
    await waiting_for(handle, "decide verify-1")
