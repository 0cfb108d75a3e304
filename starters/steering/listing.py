"""The runs there are: what is open first, and of each what it waits for, for whom, and since when.

Temporal's visibility lists them; what it can't tell, each open run is asked, a few at a time and for two seconds; all
of them together for six. Where many have no worker, those not asked by then count as not having answered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError

from activities.monitoring.visibility import can_be_quoted
from starters.steering.identity import Person
from starters.steering.session import Session
from workers.registry import PROCEDURES, Procedure
from workers.settings import Settings
from workflows.platform.approval import OpenQuestion
from workflows.platform.clocks import Clock
from workflows.platform.run_status import RunStatus
from workflows.platform.search_attributes import INCIDENT, OUTCOME, SERVICE, SEVERITY, WAITING_FOR

_ASKED_AT_ONCE = 10
_ANSWERS_WITHIN = timedelta(seconds=2)
_ALL_ANSWER_WITHIN = 6.0
"""Seconds. A hundred runs without a worker would take twenty; a person at a prompt has gone by then."""

_TYPES = {procedure.workflow_type: procedure for procedure in PROCEDURES}
_OPEN = 1000
"""Open runs that are looked through for the worst, or for somebody's own."""
_NONE = "~"
"""Stands behind every severity."""

STARTED_BY = "started_by"
"""Key of the memo that says who started a run from the command line."""

_MAY = {"close": "close", "update_customer or resolve": "customer", "outreach": "customer"}
"""What a run waits for that is no question → who may do it, by the name in `[approvals] roles`."""

_MAY_ALWAYS = {"EnterpriseOnboarding": "customer", "MaintenanceWindow": "maintain"}
"""Procedure → the same, whatever it waits for: an item of a checklist, a task."""


class Listed(BaseModel):
    """One run, as lists show it and scripts read it."""

    name: str = Field(description="What commands may call it: its incident, else its workflow ID.")
    workflow_id: str
    run_id: str
    procedure: str
    title: str = ""
    severity: str = ""
    service: str = ""
    incident: str = ""
    state: str = Field(description="Temporal's word: running, completed, failed, canceled, terminated, timed out.")
    phase: str = ""
    outcome: str = ""
    dry_run: bool = False
    started_at: datetime
    ended_at: datetime | None = None
    waiting_for: str = Field(default="", description="What only a person can do now; empty where nobody has to.")
    roles: list[str] = Field(default=[], description="Who may do it, where it is a question.")
    waiting_since: datetime | None = None
    waiting_until: datetime | None = Field(default=None, description="Then it escalates, or takes its default.")
    clock: str = Field(default="", description="Name of the next deadline.")
    clock_due_at: datetime | None = None
    clock_missed: bool = False
    started_by: str = ""
    link: str = ""
    answers: bool = Field(default=True, description="Whether a worker has answered for it.")


@dataclass(frozen=True)
class Wanted:
    """Which runs are listed."""

    service: str = ""
    procedure: Procedure | None = None
    waiting: bool = False
    mine: Person | None = None
    since: datetime | None = None
    closed: bool = False
    limit: int = 100


async def listed(session: Session, wanted: Wanted) -> list[Listed]:
    """List runs: the open ones first and the worst of them on top; else the newest first."""
    found = [one async for one in _some(executions(session, wanted, running=True), _OPEN)]
    found.sort(key=lambda one: one.typed_search_attributes.get(SEVERITY) or _NONE)  # an old P1 is none of the newest
    told = await _each(session, found if wanted.mine else found[: wanted.limit])
    rows = sorted((row for row, status in told if _meant(row, status, wanted)), key=lambda row: row.severity or _NONE)
    rows = rows[: wanted.limit]
    if wanted.closed and not wanted.waiting:
        closed = executions(session, wanted, running=False)
        async for one in _some(closed, max(wanted.limit - len(rows), 0)):
            row = await row_of(session, one, None)
            if _meant(row, None, wanted):
                rows.append(row)
    return rows


async def unasked(session: Session, wanted: Wanted, *, running: bool | None = None) -> list[Listed]:
    """List runs as visibility knows them, the newest first; no run is asked, so each counts as answering."""
    found = _some(executions(session, wanted, running=running), wanted.limit)
    return [(await row_of(session, one, None)).model_copy(update={"answers": True}) async for one in found]


async def executions(session: Session, wanted: Wanted, *, running: bool | None) -> AsyncIterator[WorkflowExecution]:
    """Give what visibility lists, the newest first; `running` None gives both."""
    names = [wanted.procedure.workflow_type] if wanted.procedure else [*_TYPES]
    parts = [f"WorkflowType IN ({', '.join(repr(name) for name in names)})"]
    if running is not None:
        parts.append(f"ExecutionStatus {'=' if running else '!='} 'Running'")
    if wanted.service and can_be_quoted(wanted.service):
        parts.append(f'{SERVICE.name} = "{wanted.service}"')
    if wanted.waiting:
        parts.append(f"{WAITING_FOR.name} IS NOT NULL")
    if wanted.since is not None:
        field = "CloseTime" if running is False else "StartTime"
        parts.append(f'{field} >= "{wanted.since.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"')
    async for execution in session.client.list_workflows(" AND ".join(parts)):
        if execution.status is not WorkflowExecutionStatus.CONTINUED_AS_NEW:
            yield execution


def name_of(execution: WorkflowExecution) -> str:
    """Give what people call a run: its incident, else its workflow ID."""
    return execution.typed_search_attributes.get(INCIDENT) or execution.id


async def _some(found: AsyncIterator[WorkflowExecution], limit: int) -> AsyncIterator[WorkflowExecution]:
    count = 0
    async for one in found:
        if count == limit:
            return
        yield one
        count += 1


async def _each(session: Session, found: list[WorkflowExecution]) -> list[tuple[Listed, RunStatus | None]]:
    """Ask each, a few at a time."""
    turn = asyncio.Semaphore(_ASKED_AT_ONCE)
    until_then = asyncio.get_running_loop().time() + _ALL_ANSWER_WITHIN

    async def one(execution: WorkflowExecution) -> tuple[Listed, RunStatus | None]:
        status = None
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until_then), turn:
                status = await _ask(session.client, execution)
        return await row_of(session, execution, status), status

    return await asyncio.gather(*(one(execution) for execution in found))


async def _ask(client: Client, execution: WorkflowExecution) -> RunStatus | None:
    handle = client.get_workflow_handle(execution.id, run_id=execution.run_id)
    with suppress(RPCError, WorkflowQueryFailedError):
        told: RunStatus = await handle.query("status", result_type=RunStatus, rpc_timeout=_ANSWERS_WITHIN)
        return told
    return None


async def row_of(session: Session, execution: WorkflowExecution, status: RunStatus | None) -> Listed:
    """Put together what is known of a run."""
    attributes, memo = execution.typed_search_attributes, await execution.memo()
    running = execution.status is WorkflowExecutionStatus.RUNNING
    said = memo.get("said") or {}
    row = Listed(
        name=name_of(execution),
        workflow_id=execution.id,
        run_id=execution.run_id,
        procedure=_command(execution.workflow_type),
        title=(memo.get("runbook") or {}).get("title", ""),
        severity=attributes.get(SEVERITY) or "",
        service=attributes.get(SERVICE) or "",
        incident=attributes.get(INCIDENT) or "",
        state=state_of(execution),
        phase=said.get("phase", ""),
        outcome=attributes.get(OUTCOME) or "",
        started_at=execution.start_time,
        ended_at=execution.close_time,
        waiting_for=(attributes.get(WAITING_FOR) or "") if running else "",
        started_by=memo.get(STARTED_BY, ""),
        link=session.link(execution.id, execution.run_id),
        answers=status is not None or not running,
    )
    if status is None:
        return row
    clock, question = _next(status.clocks), _first(status.questions)
    return row.model_copy(
        update={
            "title": status.title,
            "severity": status.severity,
            "service": status.service or row.service,
            "incident": status.incident_id,
            "name": status.incident_id or row.name,
            "phase": status.phase,
            "outcome": status.outcome,
            "dry_run": status.dry_run,
            "waiting_for": status.waiting_for,
            "roles": question.roles if question else may(session.settings, status),
            "waiting_since": question.asked_at if question else _since(status),
            "waiting_until": until(question) if question else None,
            "clock": clock.name if clock else "",
            "clock_due_at": clock.due_at if clock else None,
            "clock_missed": clock.missed if clock else False,
        }
    )


def may(settings: Settings, status: RunStatus) -> list[str]:
    """Say which roles may do what a run waits for, where it is no question; as these settings have it."""
    kind = _MAY.get(status.waiting_for, "") or _MAY_ALWAYS.get(status.procedure, "")
    return [*settings.approvals.roles.get(kind, ())] if status.waiting_for else []


def state_of(execution: WorkflowExecution) -> str:
    """Give Temporal's word for how a run stands."""
    return "unknown" if execution.status is None else execution.status.name.lower().replace("_", " ")


def until(question: OpenQuestion) -> datetime:
    """Say until when an answer is waited for, before it escalates or its default is taken."""
    return question.asked_at + question.timeout * (2 if question.escalated else 1)


def _command(workflow_type: str) -> str:
    known = _TYPES.get(workflow_type)
    return known.command if known else workflow_type


def _next(clocks: list[Clock]) -> Clock | None:
    return min((one for one in clocks if one.met_at is None), key=lambda one: one.due_at, default=None)


def _first(questions: list[OpenQuestion]) -> OpenQuestion | None:
    return min(questions, key=until, default=None)


def _since(status: RunStatus) -> datetime | None:
    """Say since when a run that asks no question has waited: since it last said something."""
    return status.entries[-1].at if status.waiting_for and status.entries else None


def _meant(row: Listed, status: RunStatus | None, wanted: Wanted) -> bool:
    if wanted.service and row.service != wanted.service:
        return False
    if wanted.waiting and not row.waiting_for:
        return False
    if wanted.mine is None:
        return True
    spoke = any(entry.who.startswith(f"{wanted.mine.who} ") for entry in status.entries) if status else False
    return row.started_by == wanted.mine.who or spoke or wanted.mine.role in row.roles
