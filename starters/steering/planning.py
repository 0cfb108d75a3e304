"""What a procedure would do now: its own plan mode, asked before it is started."""

import asyncio
from datetime import timedelta

from pydantic import BaseModel
from temporalio.client import WorkflowFailureError

from audit.text import counted
from starters.steering import runs
from starters.steering.errors import Refused, Unreachable
from starters.steering.finding import find
from starters.steering.identity import Person
from starters.steering.session import Session
from starters.steering.starting import begin
from workers.registry import Procedure
from workflows.platform.run_status import RunStatus

_WITHIN = timedelta(seconds=30)
_LINES = 12
_WOULD = "would: "


async def planned(
    session: Session, wanted: Procedure, request: BaseModel, speaker: Person, *, origin: str
) -> RunStatus:
    """Run it in plan mode, which changes nothing, and give what it says at its end.

    Raises:
        Refused: it would fail; nothing is started.
        Unreachable: nobody answers; nothing is started.

    """
    plan = request.model_copy(update={"dry_run": True})
    begun = await begin(session, wanted, plan, by=speaker, origin=f"{origin}, as a plan", workflow_id=None)
    run = await find(session, begun.reference)
    try:
        async with asyncio.timeout(_WITHIN.total_seconds()):
            await run.handle.result()
    except TimeoutError:
        raise Unreachable(
            f"the plan is not ready after {_WITHIN.seconds} s: is a worker running? "
            f"`runbooks status {begun.workflow_id}` shows it; --yes starts without it"
        ) from None
    except WorkflowFailureError as error:
        raise Refused(f"it can't be done, nothing was started: {runs.reason(error)}") from None
    return await runs.status_of(run)


def would(status: RunStatus) -> str:
    """Say in one paragraph what a plan's run would have done."""
    told = changes(status)
    if not told:
        return "It would change nothing."
    more = len(told) - _LINES
    lines = [*told[:_LINES], *([f"and {counted(more, 'further step')}"] if more > 0 else [])]
    return "\n".join(["It would, as things are now:", *(f"  · {line}" for line in lines)])


def changes(status: RunStatus) -> list[str]:
    """List what a plan's run would have done, a sentence each."""
    return [_line(entry.text) for entry in status.entries if _WOULD in entry.text or entry.text.startswith("would ")]


def _line(text: str) -> str:
    said = text.replace(_WOULD, "", 1).removeprefix("would ")
    return f"{said[:1].upper()}{said[1:]}"
