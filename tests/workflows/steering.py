"""What tests of any procedure do to a run: start it, wait for it, read it."""

import asyncio
import inspect
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from activities.catalogue.run_ids import run_id
from activities.common.errors import JustStarting
from tests.how_far import how_far
from tests.plugins.patience import HANGS
from workers.registry import procedure
from workflows.platform.run_status import RunStatus

SERVICE = "tensafe-server"
Handle = WorkflowHandle[Any, Any]
_ANSWERS = 30.0


async def begin(client: Client, queue: str, request: BaseModel, name: str) -> Handle:
    """Start a procedure by its name."""
    own = procedure(name).one_a_service and getattr(request, "alert", None) is None
    return await client.start_workflow(
        procedure(name).workflow_type,
        request,
        task_queue=queue,
        # A person's run of these has its service's ID; what an earlier test has left makes way.
        id=run_id(procedure(name).command, SERVICE) if own else f"{name}-{uuid4()}",
        id_conflict_policy=WorkflowIDConflictPolicy.TERMINATE_EXISTING,
    )


async def status_of(handle: Handle, within: float = HANGS) -> RunStatus:
    """Ask a run; where no worker answers in `within` seconds, say so.

    The test server waits without end. A real one gives up sooner than that, while a worker is only just coming up.
    """
    ends = time.monotonic() + within
    while (left := ends - time.monotonic()) > 0:
        try:
            status: RunStatus = await handle.query("status", result_type=RunStatus, rpc_timeout=timedelta(seconds=left))
        except RPCError as error:
            if error.status not in {RPCStatusCode.CANCELLED, RPCStatusCode.DEADLINE_EXCEEDED}:
                raise
            await asyncio.sleep(0.05)
        else:
            return status
    pytest.fail(f"{handle.id} has not told its status in {within:.0f} s: has it a worker?")


async def until(handle: Handle, reached: Callable[[RunStatus], bool], within: float = HANGS) -> RunStatus:
    """Wait until the run's status is as wanted."""
    ends = time.monotonic() + within
    while not reached(status := await status_of(handle, max(ends - time.monotonic(), _ANSWERS))):
        if time.monotonic() > ends:
            pytest.fail(f"{handle.id} never reached that: {status.model_dump_json(indent=1)}")
        await asyncio.sleep(0.02)
    return status


async def comes(true: Callable[[], Any], what: str, within: float = HANGS) -> None:
    """Wait until something is so, that a run brings about; `true` may be a coroutine function."""
    ends = time.monotonic() + within
    while True:
        found = true()
        if await found if inspect.isawaitable(found) else found:
            return
        if time.monotonic() > ends:
            pytest.fail(f"never came: {what}")
        await asyncio.sleep(0.02)


async def days_pass(clock: WorkflowEnvironment, days: float) -> None:
    """Let the test server's clock pass days and half an hour.

    One day at a time: a call to the server has a limit, however much happens in it. And half an hour more: what a run
    does by the hour drifts by what it takes each time, so it may come just after the days. A timer that fires while the
    run gives it up for somebody's word is too much for the test server: that run goes on no more.
    """
    while days > 0:
        await clock.sleep(timedelta(days=min(days, 1)))
        days -= 1
    await clock.sleep(timedelta(minutes=30))


async def goes_on(handle: Handle, before: str | None) -> str:
    """Wait until another run than `before` has its workflow ID, and give which."""

    async def another() -> bool:
        return (await handle.describe()).run_id != before

    await comes(another, f"that {handle.id} goes on as another run")
    return (await handle.describe()).run_id


_TURN = {EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED, EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED}
"""What a history ends with while a worker thinks about the run."""


async def quiet(handle: Handle, *, beside: int = 0) -> None:
    """Wait until nothing of the run is in flight but ``beside`` activities that it keeps up for long.

    The test server, unlike the real one, fails for good a run that gives up an activity in the moment it ends; and it
    holds its clock for an activity of a run that was terminated.
    """
    seen, ends = -1, time.monotonic() + HANGS
    while time.monotonic() < ends:
        pending = len((await handle.describe()).raw_description.pending_activities)
        events = (await handle.fetch_history()).events
        if pending <= beside and events[-1].event_type not in _TURN:
            if len(events) == seen:
                return
            seen = len(events)
        await asyncio.sleep(0.05)
    pytest.fail(f"{handle.id} is never quiet: {pending} activities in flight")


async def cancel(handle: Handle, *, beside: int = 0) -> None:
    """Cancel a run that waits: see :func:`quiet`."""
    await quiet(handle, beside=beside)
    await handle.cancel()


async def waiting_for(handle: Handle, what: str) -> RunStatus:
    """Wait until only a person can bring the run on."""
    return await until(handle, lambda status: status.waiting_for == what)


async def say(handle: Handle, update: Any, word: BaseModel) -> Any:
    """Say a word to a run that may be just starting: again until it can take it, as senders do."""
    answers: list[Any] = []

    async def taken() -> bool:
        try:
            answers.append(await handle.execute_update(update, word))
        except WorkflowUpdateFailedError as error:
            if not (isinstance(error.cause, ApplicationError) and error.cause.type == JustStarting.__name__):
                raise
        return bool(answers)

    await comes(taken, f"that {handle.id} can be told")
    return answers[0]


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


async def result_of(handle: Handle, within: float = HANGS) -> Any:
    """Give a run's result; where it does not come in `within` seconds, say how far the run has come."""
    try:
        return await asyncio.wait_for(handle.result(), within)
    except TimeoutError:
        pytest.fail(f"{handle.id} has not ended in {within:.0f} s\n{await how_far(handle._client, handle)}")


async def told(handle: Handle) -> str:
    """Give the timeline of an ended run."""
    return texts(await status_of(handle))
