"""Finds the run that a person means by what they type at 03:00."""

import re
from collections.abc import Iterable

from temporalio.client import WorkflowExecution, WorkflowExecutionStatus

from starters.steering import runs
from starters.steering.errors import NoSuchRun, WrongInput
from starters.steering.listing import Wanted, executions, name_of
from starters.steering.runs import Run
from starters.steering.session import Session
from workers.registry import procedure
from workflows.platform.search_attributes import INCIDENT

_RUN_ID = re.compile(r"(?P<workflow>.+)@(?P<run>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})")
_INCIDENT_ID = re.compile(r"[\w.-]+")
_TICKET = re.compile(r"(?:TCK|ONB)[-_][\w-]+", re.IGNORECASE)
_TICKETS = "issue-escalation"
_THE_ONLY_ONE = "-"
_LOOKED_AT = 1000
_TICKETS_LOOKED_AT = 100
_CANDIDATES_SHOWN = 10
_SHORTEST = 3

HOW = "a workflow ID, WORKFLOW_ID@RUN_ID, an incident or ticket, a unique beginning or ending of one, or -"


async def find(session: Session, reference: str) -> Run:
    """Find a run: exactly named, by its incident or ticket, by a unique part of its name, or `-`, the only open one.

    An open run is meant before one that has ended.

    Raises:
        NoSuchRun: there is none.
        WrongInput: several fit; names them.

    """
    found = await named(session, reference) or await by_part(session, reference)
    if found is None:
        raise NoSuchRun(f"no run {reference!r}: give {HOW}. `runbooks list --all` shows them")
    return found


async def named(session: Session, reference: str) -> Run | None:
    """Find a run by its whole name: workflow ID, WORKFLOW_ID@RUN_ID, incident or ticket, or `-`, the only open one.

    Raises:
        NoSuchRun: `-`, and no run is open.
        WrongInput: `-`, and several are open; names them.

    """
    if reference == _THE_ONLY_ONE:
        return await _the_only_one(session)
    whole = _RUN_ID.fullmatch(reference)
    if whole:
        return await runs.describe(session, whole["workflow"], whole["run"])
    found = await runs.describe(session, reference, None)
    return found or await _of_incident(session, reference) or await _of_ticket(session, reference)


async def _the_only_one(session: Session) -> Run:
    found = [one async for one in executions(session, Wanted(), running=True)]
    if not found:
        raise NoSuchRun("no run is open: `runbooks list --all` shows those that have ended")
    return await _described(session, _unique("-", found))


async def _of_incident(session: Session, reference: str) -> Run | None:
    """Find an incident's run; one that goes on under the same number is meant before those it took over from."""
    if not _INCIDENT_ID.fullmatch(reference):
        return None
    newest: WorkflowExecution | None = None
    async for one in session.client.list_workflows(f'{INCIDENT.name} = "{reference}"'):
        if one.status is WorkflowExecutionStatus.RUNNING:
            return await _described(session, one)
        newest = newest or one
    return await _described(session, newest) if newest else None


async def _of_ticket(session: Session, reference: str) -> Run | None:
    """Ask the escalations which of them has a ticket: the newest ones, since nothing else knows."""
    if not _TICKET.fullmatch(reference):
        return None
    looked = 0
    async for one in executions(session, Wanted(procedure=procedure(_TICKETS)), running=None):
        if (looked := looked + 1) > _TICKETS_LOOKED_AT:
            break
        run = await _described(session, one)
        status = await runs.told(run)
        if status and any(reference.lower() in entry.text.lower() for entry in status.entries):
            return run
    return None


async def by_part(session: Session, reference: str) -> Run | None:
    """Find the one open run whose name begins or ends so, else the one that has ended.

    Raises:
        WrongInput: several fit; names them.

    """
    if len(reference) < _SHORTEST or _RUN_ID.fullmatch(reference):
        return None
    for running in (True, False):
        fitting = []
        looked = 0
        async for one in executions(session, Wanted(), running=running):
            if (looked := looked + 1) > _LOOKED_AT:
                break
            if _fits(reference, one):
                fitting.append(one)
        if fitting:
            return await _described(session, _unique(reference, fitting))
    return None


def _fits(reference: str, one: WorkflowExecution) -> bool:
    names = (one.id, one.run_id, one.typed_search_attributes.get(INCIDENT) or "")
    return any(name.startswith(reference) or name.endswith(reference) for name in names)


def _unique(reference: str, found: Iterable[WorkflowExecution]) -> WorkflowExecution:
    """Give the only one; runs of one workflow ID, or of one incident, count as one, the newest of them.

    Raises:
        WrongInput: there are several; names them.

    """
    by_name: dict[str, WorkflowExecution] = {}
    for one in found:
        by_name.setdefault(name_of(one), one)
    if len({one.id for one in by_name.values()}) == 1:
        return next(iter(by_name.values()))
    shown = [f"  {name}" for name in list(by_name)[:_CANDIDATES_SHOWN]]
    more = len(by_name) - len(shown)
    told = "\n".join([*shown, *([f"  and {more} more"] if more else [])])
    what = f"{len(by_name)} runs are open" if reference == _THE_ONLY_ONE else f"{reference!r} fits {len(by_name)} runs"
    raise WrongInput(f"{what}: which one?\n{told}")


async def _described(session: Session, one: WorkflowExecution) -> Run:
    found = await runs.describe(session, one.id, one.run_id)
    if found is None:
        raise NoSuchRun(f"{one.id} is no longer kept by Temporal")
    return found
