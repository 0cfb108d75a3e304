"""Starts a procedure for a person: shows the plan, asks, says where it runs, and waits where they want to."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio.client import WorkflowFailureError

from starters.cli import inputs
from starters.cli.configured import load_settings
from starters.cli.following import follow
from starters.cli.people import Exit, Stop, complaints, confirmed, console, somebody_there
from starters.cli.planning import plan_of, show
from starters.steering import runs
from starters.steering.actions import actions
from starters.steering.errors import Refused, WrongInput
from starters.steering.finding import find
from starters.steering.identity import Person
from starters.steering.inputs import check_service
from starters.steering.outcomes import reached
from starters.steering.session import Session, open_session
from starters.steering.starting import Begun, begin
from workers.registry import Procedure, procedure
from workflows.platform.run_status import RunStatus

_INCIDENT_WITHIN = timedelta(seconds=3)
_LOOK = timedelta(milliseconds=100)


@dataclass(frozen=True)
class Wishes:
    """How a run is started."""

    dry_run: bool = False
    yes: bool = False
    wait: bool = False
    as_json: bool = False
    workflow_id: str | None = None


async def start(name: str, speaker: Person, wishes: Wishes, *, text: str | None, fields: Sequence[str]) -> None:
    """Start it, and say where it runs.

    Raises:
        SteeringError: it is not started, or it did not complete.
        Stop: the person says no, or it ended with another outcome than what was asked.

    """
    wanted = _procedure(name)
    defaults = {"requested_by": f"{speaker.who} ({speaker.role})"} | ({"dry_run": True} if wishes.dry_run else {})
    # Who says --yes to a machine's question has said it to the run's own as well, where it has one.
    sets = [*fields, *(["dry_run=true"] if wishes.dry_run else [])]
    sets += ["confirmed=true"] if wishes.yes and "confirmed" in wanted.request.model_fields else []
    request = inputs.request(wanted, text, sets, **defaults)
    settings = load_settings()
    check_service(wanted, request, settings)
    asks = not (wishes.yes or getattr(request, "dry_run", False))
    if asks and not somebody_there():
        sentence = "nobody can be asked here: --yes starts it, --dry-run --wait shows what it would do"
        raise WrongInput(f"start: {sentence}")
    session = await open_session(settings)
    if asks:
        await _agreed(session, wanted, request, speaker)
    begun = await begin(session, wanted, request, by=speaker, origin="the command line", workflow_id=wishes.workflow_id)
    if not wishes.as_json:
        await _tell(session, wanted, begun, wait=wishes.wait)
    if wishes.wait:
        await _until_its_end(session, begun, as_json=wishes.as_json)
    elif wishes.as_json:
        _document(begun, await _first_status(session, wanted, begun))


async def _agreed(session: Session, wanted: Procedure, request: BaseModel, speaker: Person) -> None:
    """Show what it would do, and ask."""
    plan = await plan_of(session, wanted, request, speaker)
    show(plan, complaints)
    if not confirmed("Start it?"):
        raise Stop(Exit.REFUSED, "not started")


async def _tell(session: Session, wanted: Procedure, begun: Begun, *, wait: bool) -> None:
    status = None if wait else await _first_status(session, wanted, begun)
    rows = {
        "incident": status.incident_id if status else "",
        "workflow ID": begun.workflow_id,
        "run ID": begun.run_id,
        "Temporal UI": begun.link,
    }
    out = complaints if wait and not console.is_terminal else console
    for name, value in rows.items():
        if value:
            out.print(f"{name:<12} {value}", markup=False, soft_wrap=True)
    if status is None:
        if not wait:
            out.print(f"next         runbooks status {begun.workflow_id} --watch", markup=False, soft_wrap=True)
        return
    name = status.incident_id or begun.workflow_id
    can = [action.command for action in actions(status, run=name, settings=session.settings)]
    for number, line in enumerate([f"runbooks status {name} --watch", *can]):
        out.print(f"{'next' if not number else '':<12} {line}", markup=False, soft_wrap=True)


async def _first_status(session: Session, wanted: Procedure, begun: Begun) -> RunStatus | None:
    """Ask the new run for its status; of an incident until it has its number. None where no worker answers soon."""
    handle = session.client.get_workflow_handle(begun.workflow_id, run_id=begun.run_id)
    status: RunStatus | None = None
    try:
        async with asyncio.timeout(_INCIDENT_WITHIN.total_seconds()):
            while status is None or (wanted.one_a_service and not status.incident_id and not status.outcome):
                status = await handle.query("status", result_type=RunStatus, rpc_timeout=_INCIDENT_WITHIN)
                await asyncio.sleep(_LOOK.total_seconds())
    except Exception:  # noqa: BLE001  it has begun, and that is what counts
        return status
    return status


async def _until_its_end(session: Session, begun: Begun, *, as_json: bool) -> None:
    run = await find(session, begun.reference)
    if console.is_terminal and not as_json:
        from starters.cli.watching import watch  # noqa: PLC0415  Markdown and tables, which a script never sees

        await watch(session, run, console)
    else:
        await follow(session, run, complaints)
    try:
        result: dict[str, Any] = await run.handle.result()
    except WorkflowFailureError as error:
        if as_json:
            _document(begun, await runs.told(run), failure=runs.reason(error))
        raise Refused(f"the run did not complete: {runs.reason(error)}") from None
    status = await runs.told(run)
    outcome = (status.outcome if status else "") or str(result.get("outcome", "completed"))
    if as_json:
        _document(begun, status, result=result)
    else:
        console.print(f"ended        {outcome}", markup=False)
        if status is not None and status.dry_run:
            from starters.steering.planning import would  # noqa: PLC0415

            show(would(status), console)
    if not reached(run.description.workflow_type, outcome):
        raise Stop(Exit.REFUSED, f"the run has ended: {outcome}")


def _document(begun: Begun, status: RunStatus | None, **more: Any) -> None:
    """Write the one document that a program reads."""
    told = {
        "workflow_id": begun.workflow_id,
        "run_id": begun.run_id,
        "link": begun.link,
        "incident": status.incident_id if status else "",
        "outcome": status.outcome if status else "",
        "dry_run": status.dry_run if status else None,
        **more,
    }
    console.file.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def _procedure(name: str) -> Procedure:
    try:
        return procedure(name)
    except KeyError as error:
        raise WrongInput(str(error.args[0])) from None
