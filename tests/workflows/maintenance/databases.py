"""Runs of 6.2, and what they did."""

from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cause, told, waiting_for
from tests.workflows.worlds.busy_database import BusyDatabase
from workflows.maintenance.database_maintenance import DatabaseMaintenanceRequest
from workflows.platform.approval import Decision

NAME = "database_maintenance"


DBA = {"who": "dana", "role": "dba"}


def request(**fields: Any) -> DatabaseMaintenanceRequest:
    return DatabaseMaintenanceRequest(**fields)


async def run(working: Working, client: Client, world: BusyDatabase, **fields: Any) -> tuple[dict[str, Any], str]:
    """Run one that needs nobody; give its result and timeline."""
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(**fields), NAME)
        result = await handle.result()
        return result, await told(handle)


async def fails(working: Working, client: Client, world: BusyDatabase, **fields: Any) -> tuple[str, str]:
    """Run one that fails; give its failure's type and message."""
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(**fields), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        found = cause(failed.value)
        return f"{found.type}: {found.message}", await told(handle)


async def decides(handle: Handle, question: str, choice: str) -> None:
    await waiting_for(handle, f"decide {question}")
    await handle.execute_update("decide", Decision(**DBA, question=question, choice=choice))


def pids(world: BusyDatabase) -> list[int]:
    return [each.pid for each in world.done("postgres.end_session")]
