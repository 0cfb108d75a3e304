"""How the runbooks themselves are now: what waits for a person, what is stuck, what sweep and archiver have found."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client.core import Metric

from audit.metrics import gauge
from audit.store_progress import Progress
from records_schema.pool import connect_pool
from starters.steering.listing import Wanted, listed
from starters.steering.session import Session, open_session
from workers.settings import Settings
from workflows.platform.search_attributes import WAITING_FOR
from workflows.upkeep.sweep_holds import SweepHolds, SweepResult

_ASKED = 200
"""Of the runs that wait for a person, how many are asked since when."""
_LATELY = timedelta(hours=1)
_RUNNING = "ExecutionStatus = 'Running'"


@dataclass(frozen=True)
class OwnState:
    """What was found at one look."""

    waiting: int
    """Open runs that wait for a person."""

    oldest: datetime | None
    """Since when the one that waits longest does."""

    problems: int
    """Open runs whose tasks fail, so that they can't go on."""

    given_back: int
    """What runs that are gone had left held, and the sweep gave back within an hour."""

    sweep: SweepResult | None
    """What the last sweep that came to its end answered; None where none has yet."""

    swept_at: datetime | None
    """When that was."""

    archived_until: datetime | None
    """Everything that closed before is archived; None where nothing has been yet."""

    unarchived: int
    """Closed runs that could not be archived."""


async def look(settings: Settings) -> OwnState:
    """Look, with connections of its own.

    Raises:
        Unreachable: Temporal doesn't answer. DatabaseError, StoreError: the records don't.

    """
    session = await open_session(settings)
    client = session.client
    with connect_pool(settings.records.url) as pool:
        progress = Progress(pool)
        until = await asyncio.to_thread(progress.until, client.namespace)
        failures = await asyncio.to_thread(progress.failures, client.namespace)
    lately = (datetime.now(UTC) - _LATELY).isoformat()
    sweep, swept_at = await _last_sweep(session)
    waits = await listed(session, Wanted(waiting=True, limit=_ASKED))
    return OwnState(
        waiting=await _count(session, f"{_RUNNING} AND {WAITING_FOR.name} IS NOT NULL"),
        oldest=min((one.waiting_since for one in waits if one.waiting_since), default=None),
        problems=await _count(session, f"{_RUNNING} AND TemporalReportedProblems IS NOT NULL"),
        given_back=await _count(
            session, f"WorkflowType IN ('GiveBackHold', 'LeaveIncident') AND StartTime > '{lately}'"
        ),
        sweep=sweep,
        swept_at=swept_at,
        archived_until=until,
        unarchived=len(failures),
    )


def metrics(found: OwnState) -> Iterator[Metric]:
    """Give it as gauges."""
    now = datetime.now(UTC)
    yield gauge("runbooks_waiting_runs", "Open runs that wait for a person.", (), [((), found.waiting)])
    if found.oldest or not found.waiting:  # else no worker answered for them, and nobody knows
        waited = (now - found.oldest).total_seconds() if found.oldest else 0
        yield gauge("runbooks_waiting_oldest_seconds", "How long the oldest of them has waited.", (), [((), waited)])
    yield gauge("runbooks_stuck_runs", "Open runs whose tasks fail.", (), [((), found.problems)])
    yield gauge(
        "runbooks_holds_given_back",
        "Holds and incidents that runs that are gone had left, ended within the last hour.",
        (),
        [((), found.given_back)],
    )
    if sweep := found.sweep:
        states = {"held": sweep.held, "late": sweep.late, "failed": len(sweep.failed), "unread": len(sweep.unread)}
        rows = [((name,), count) for name, count in states.items()]
        yield gauge("runbooks_holds", "What the last sweep found.", ("state",), rows)
    if found.swept_at:
        ago = (now - found.swept_at).total_seconds()
        yield gauge("runbooks_sweep_age_seconds", "When the last sweep came to its end.", (), [((), ago)])
    yield gauge("runbooks_unarchived_runs", "Closed runs that could not be archived.", (), [((), found.unarchived)])
    if found.archived_until:
        behind = (now - found.archived_until).total_seconds()
        yield gauge("runbooks_archive_behind_seconds", "How far the archiver is behind now.", (), [((), behind)])


async def _count(session: Session, query: str) -> int:
    return (await session.client.count_workflows(query)).count


async def _last_sweep(session: Session) -> tuple[SweepResult | None, datetime | None]:
    query = f"WorkflowType = '{SweepHolds.__name__}' AND ExecutionStatus = 'Completed'"
    async for run in session.client.list_workflows(query, limit=1):
        handle = session.client.get_workflow_handle(run.id, run_id=run.run_id, result_type=SweepResult)
        return await handle.result(follow_runs=False), run.close_time
    return None, None
