"""Sends a person's signed word into a run."""

from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from starters import runs
from starters.gateway import Gateway
from starters.people import Exit, Stop, console
from starters.runs import Run
from starters.session import Session, open_session
from starters.speaker import person
from workers.settings import explain
from workflows.shared.signing import SignedWord

_ANSWERED_WITHIN = timedelta(seconds=20)
_Answer = TypeVar("_Answer")


async def say(reference: str, who: str | None, role: str | None, kind: type[SignedWord], **fields: Any) -> None:
    """Make a word of what was typed, send it into the run that is meant, and print the run's answer.

    Raises:
        Stop: what was typed can't be meant, or see `send`.

    """
    speaker = person(who, role)
    try:
        word = kind(who=speaker.who, role=speaker.role, **fields)
    except ValidationError as error:
        raise Stop(Exit.USAGE, explain(error)) from None
    session = await open_session()
    run = await runs.find(session, reference)
    console.print(await send(session, run, word, str), markup=False)


async def send(session: Session, run: Run, word: SignedWord, answer: type[_Answer]) -> _Answer:
    """Sign a word and send it by its update; gives what the run answers.

    Raises:
        Stop: the run has ended, or refuses, in its own words, or doesn't answer.
        SettingsError: the gateway's key is not one.

    """
    signed = Gateway(session.settings.gateway).signed(word, workflow_id=run.workflow_id, first_run_id=run.first_run_id)
    if not run.running:
        raise Stop(Exit.REFUSED, f"{run.workflow_id} is {run.state}: nothing was sent")
    await run.free()
    try:
        answered: _Answer = await run.handle.execute_update(
            signed.UPDATE, signed, result_type=answer, rpc_timeout=_ANSWERED_WITHIN
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
