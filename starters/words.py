"""Sends a person's signed word into a run."""

from datetime import timedelta
from typing import TypeVar

from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from starters.gateway import Gateway
from starters.people import Exit, Stop
from starters.runs import Run
from starters.session import Session
from workflows.shared.signing import SignedWord

_ANSWERED_WITHIN = timedelta(seconds=20)
_Answer = TypeVar("_Answer")


async def send(session: Session, run: Run, update: str, word: SignedWord, answer: type[_Answer]) -> _Answer:
    """Sign a word and send it as an update; gives what the run answers.

    Raises:
        Stop: the run has ended, or refuses, in its own words, or doesn't answer.
        SettingsError: the gateway's key is not one.

    """
    signed = Gateway(session.settings.gateway).signed(word, workflow_id=run.workflow_id, first_run_id=run.first_run_id)
    if not run.running:
        raise Stop(Exit.REFUSED, f"{run.workflow_id} is {run.state}: nothing was sent")
    try:
        answered: _Answer = await run.handle.execute_update(
            update, signed, result_type=answer, rpc_timeout=_ANSWERED_WITHIN
        )
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        raise Stop(Exit.REFUSED, cause.message if isinstance(cause, ApplicationError) else str(cause)) from None
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        sentence = (
            f"the run has not answered within {_ANSWERED_WITHIN.seconds} s: is a worker running? It may still take it: "
            f"see `runbooks status {run.workflow_id}` before you send it again"
        )
        raise Stop(Exit.UNREACHABLE, sentence) from None
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise Stop(Exit.REFUSED, f"{run.workflow_id} has ended: nothing was taken") from None
        raise
    return answered
