"""What people do to a run whose workers are being killed: they look, they say their word, and try again."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio.client import (
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.service import RPCError

from workflows.platform.approval import Decision
from workflows.platform.run_status import RunStatus
from workflows.platform.runbook import Runbook
from workflows.platform.signing import digest

_AGAIN_SECONDS = 0.2
_NO_WORKER = (RPCError, WorkflowUpdateRPCTimeoutOrCancelledError)


class RunEndedError(AssertionError):
    """The run has ended without what was waited for."""


async def when(handle: WorkflowHandle[Any, Any], seen: Callable[[RunStatus], bool]) -> RunStatus:
    """Wait until the run's status is as wanted: it is looked at whenever the history has something new.

    Raises:
        RunEndedError: the run has.

    """
    history = handle.fetch_history_events(wait_new_event=True)
    while True:
        await history.fetch_next_page()
        status = await _status(handle)
        if seen(status):
            return status
        if not history.next_page_token:
            raise RunEndedError(f"ended: {status.entries[-3:]}")
        await asyncio.sleep(_AGAIN_SECONDS)


async def _status(handle: WorkflowHandle[Any, Any]) -> RunStatus:
    """Ask a worker; there may be none for a while."""
    while True:
        try:
            status: RunStatus = await handle.query(Runbook.status, rpc_timeout=timedelta(seconds=3))
        except _NO_WORKER:
            await asyncio.sleep(_AGAIN_SECONDS)
        else:
            return status


async def tell(handle: WorkflowHandle[Any, Any], update: Callable[..., Any], word: BaseModel) -> None:
    """Send the run an update; said again after a lost answer it is still said once.

    Its ID is of this run: Temporal brings the words of one that was reset into the one that goes on, and an ID that was
    refused there has no answer any more, but an error for as long as anybody asks.

    Raises:
        AssertionError: it was refused.

    """
    said = [handle.run_id or handle.result_run_id, word.model_dump(mode="json")]
    id_ = f"{update.__name__}-{digest(said)[:16]}"
    while True:
        try:
            await handle.execute_update(update, word, id=id_, rpc_timeout=timedelta(seconds=10))  # type: ignore[call-overload]
        except _NO_WORKER:
            await asyncio.sleep(_AGAIN_SECONDS)
        except WorkflowUpdateFailedError as error:
            raise AssertionError(f"refused: {error.cause}") from error
        else:
            return


async def decide(handle: WorkflowHandle[Any, Any], question: str, choice: str, *, role: str = "dba") -> None:
    """Answer a question once it is asked."""
    await when(handle, lambda status: any(asked.id == question for asked in status.questions))
    await tell(handle, Runbook.decide, Decision(who="ada", role=role, question=question, choice=choice))


async def whenever(handle: WorkflowHandle[Any, Any], choice: str, *, role: str) -> None:
    """Answer whatever is asked with the same, until the run has ended."""
    answered: set[str] = set()
    while True:
        try:
            status = await when(handle, lambda status: any(asked.id not in answered for asked in status.questions))
        except RunEndedError:
            return
        for question in [asked.id for asked in status.questions if asked.id not in answered]:
            await tell(handle, Runbook.decide, Decision(who="ada", role=role, question=question, choice=choice))
            answered.add(question)
