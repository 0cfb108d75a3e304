"""What tests of any procedure do to a run: start it, wait for it, read it."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from workers.registry import procedure
from workflows.shared.runbook import RunStatus

Handle = WorkflowHandle[Any, Any]


async def begin(client: Client, queue: str, request: BaseModel, name: str) -> Handle:
    """Start a procedure by its name."""
    return await client.start_workflow(
        procedure(name).workflow_type, request, id=f"{name}-{uuid4()}", task_queue=queue,
    )  # fmt: skip


async def until(handle: Handle, reached: Callable[[RunStatus], bool]) -> RunStatus:
    """Wait until the run's status is as wanted."""
    status = None
    for _ in range(1500):
        status = await handle.query("status", result_type=RunStatus)
        if reached(status):
            return status
        await asyncio.sleep(0.02)
    pytest.fail(f"never reached: {status.model_dump_json(indent=1) if status else ''}")


async def waiting_for(handle: Handle, what: str) -> RunStatus:
    """Wait until only a person can bring the run on."""
    return await until(handle, lambda status: status.waiting_for == what)


def cause(error: WorkflowFailureError) -> ApplicationError:
    """Give the innermost failure."""
    found: BaseException = error
    while found.__cause__ is not None:
        found = found.__cause__
    assert isinstance(found, ApplicationError)
    return found


def texts(status: RunStatus) -> str:
    """Give the whole timeline."""
    return "\n".join(entry.text for entry in status.entries)


async def told(handle: Handle) -> str:
    """Give the timeline of an ended run."""
    return texts(await handle.query("status", result_type=RunStatus))
