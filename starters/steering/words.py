"""Sends a person's signed word into a run."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import chain, repeat
from typing import TypeVar

from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.common.errors import JustStarting
from starters.steering.errors import Over, Refused, Unreachable
from starters.steering.gateway import Gateway
from starters.steering.runs import Run
from starters.steering.session import Session
from workflows.platform.signing import SignedWord

_ANSWERED_WITHIN = timedelta(seconds=20)
_BEGINS_WITHIN = 10.0
_AGAIN_AFTER = (0.05, 0.1, 0.2)
"""Seconds, both; the last of these for all that follow."""

_NOT_TAKEN = "expected but not found, and there is no dynamic handler"
"""What the SDK says for a workflow that has no such update."""

_COMES_AGAIN = {JustStarting.__name__, "UnprocessedUpdate"}
"""The latter is Temporal's own refusal: a worker has ended the run's task without a look at the word."""

_Answer = TypeVar("_Answer")


async def send(session: Session, run: Run, word: SignedWord, answer: type[_Answer]) -> _Answer:
    """Sign a word and send it by its update; gives what the run answers.

    It is for this run alone, and not for one that goes on in its place. The number it carries is the update's ID as
    well: what the client sends again on its own is one update to Temporal.

    Raises:
        Refused: the run has ended, or refuses, in its own words.
        Unreachable: it doesn't answer.
        SettingsError: the gateway's key is not one.

    """
    signed = Gateway(session.settings.gateway).signed(word, workflow_id=run.workflow_id, run_id=run.description.run_id)
    if not run.running:
        raise Over(f"{run.workflow_id} is {run.state}: nothing was sent")
    await run.free()
    try:
        answered: _Answer = await looked_at(
            lambda: run.handle.execute_update(
                signed.UPDATE, signed, id=signed.nonce, result_type=answer, rpc_timeout=_ANSWERED_WITHIN
            )
        )
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        if _NOT_TAKEN in str(cause):
            raise Refused(
                f"{run.workflow_id} takes no {signed.UPDATE!r}: `runbooks status {run.workflow_id}` shows what can be "
                "said to it"
            ) from None
        raise Refused(cause.message if isinstance(cause, ApplicationError) else str(cause)) from None
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise Unreachable(
            f"the run has not answered within {_ANSWERED_WITHIN.seconds} s: is a worker running? It may still take it: "
            f"see `runbooks status {run.workflow_id}` before you send it again"
        ) from None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise Over(f"{run.workflow_id} has ended: nothing was taken") from None
        raise
    return answered


async def looked_at(say: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Say a word, again where the run has only just started, or its worker has passed over the word.

    Whoever begins a run may have something to say at once. Under its own number it is never taken twice.

    Raises:
        WorkflowUpdateFailedError: the run refuses.

    """
    until = asyncio.get_running_loop().time() + _BEGINS_WITHIN
    pauses = chain(_AGAIN_AFTER, repeat(_AGAIN_AFTER[-1]))
    while True:
        try:
            return await say()
        except WorkflowUpdateFailedError as error:
            again = isinstance(error.cause, ApplicationError) and error.cause.type in _COMES_AGAIN
            if not again or asyncio.get_running_loop().time() >= until:
                raise
            await asyncio.sleep(next(pauses))
