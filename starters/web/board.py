"""What is open, kept for all who look: listed once for everybody, however many viewers there are.

Temporal's visibility lists the runs. What it can't tell (questions, clocks, holds) is asked of the runs themselves,
those that wait for people first, a few at a time; what was told is kept until a run has something else to say. Nothing
of it needs the records; whether they answer is looked at beside, so that a page can say what it can't know.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from temporalio.client import WorkflowExecution, WorkflowQueryFailedError
from temporalio.service import RPCError

from starters.steering.listing import Listed, Wanted, executions, row_of
from starters.steering.session import Session
from workflows.platform.run_status import RunStatus
from workflows.platform.search_attributes import WAITING_FOR

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

_EVERY = 2.0
_RECORDS_EVERY = 5.0
_ASKED_A_ROUND = 40
_ASKED_AT_ONCE = 10
_ANSWERS_WITHIN = 2.0
_LISTED_WITHIN = 5.0
_TOLD_FOR = 5.0
"""Seconds after which a run is asked again, though visibility says the same of it."""
_MOST = 5000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """What is open at one moment."""

    rows: tuple[Listed, ...] = ()
    statuses: dict[str, RunStatus] = field(default_factory=dict)
    at: datetime | None = None
    trouble: str = ""
    number: int = 0
    records_away_since: datetime | None = None
    """Since when the records were found not to answer; None: they do."""

    @property
    def cut(self) -> bool:
        """Whether there may be more than these."""
        return len(self.rows) >= _MOST


@dataclass
class _Told:
    said: tuple[object, ...]
    asked_at: float
    status: RunStatus | None


@dataclass(frozen=True)
class _Row:
    told: object
    status: RunStatus | None
    row: Listed


class Board:
    """Looks while somebody does."""

    def __init__(self, session: Session, pool: "ConnectionPool[Any]") -> None:
        self._session, self._pool = session, pool
        self._told: dict[str, _Told] = {}
        self._kept: dict[str, _Row] = {}
        self._changed = asyncio.Condition()
        self._first = asyncio.Event()
        self.now = Snapshot()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Look again and again, as long as the process lives."""
        tasks = [asyncio.create_task(look) for look in (self._look(), self._look_at_the_records())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def latest(self) -> Snapshot:
        """Give what is open; waits only for the very first look."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LISTED_WITHIN):
                await self._first.wait()
        return self.now

    async def after(self, number: int) -> Snapshot:
        """Wait until something is different from a snapshot that was shown."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.now.number > number)
        return self.now

    async def _look(self) -> None:
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(_LISTED_WITHIN + 4 * _ANSWERS_WITHIN):
                    await self._once()
            except (RPCError, RuntimeError, TimeoutError) as error:
                _log.warning("what is open can't be listed", why=type(error).__name__)
                await self._put(self.now.rows, self.now.statuses, "Temporal does not answer")
            except Exception:  # noqa: BLE001  the next look may go better; without any the page is worth nothing
                _log.exception("what is open can't be listed")
                await self._put(self.now.rows, self.now.statuses, "this list can't be made: the page's log says why")
            await asyncio.sleep(max(_EVERY - (time.monotonic() - began), 0.2))

    async def _look_at_the_records(self) -> None:
        while True:
            away = not await asyncio.to_thread(self._records_answer)
            if away != (self.now.records_away_since is not None):
                async with self._changed:
                    since = datetime.now(UTC) if away else None
                    self.now = replace(self.now, records_away_since=since, number=self.now.number + 1)
                    self._changed.notify_all()
            await asyncio.sleep(_RECORDS_EVERY)

    def _records_answer(self) -> bool:
        try:
            with self._pool.connection() as connection:
                connection.execute("SELECT 1")
        except psycopg.Error as error:
            _log.warning("the records don't answer", why=type(error).__name__)
            return False
        return True

    async def _once(self) -> None:
        async with asyncio.timeout(_LISTED_WITHIN):
            found = [one async for one in _most(executions(self._session, Wanted(), running=True))]
        if not self._first.is_set():  # the list itself is there at once
            await self._put(*await self._rows(found), "")
        await self._ask(found)
        await self._put(*await self._rows(found), "")

    async def _ask(self, found: list[WorkflowExecution]) -> None:
        alive = {one.run_id for one in found}
        self._told = {run: told for run, told in self._told.items() if run in alive}
        now = time.monotonic()
        due = [one for one in found if self._due(one, now)]
        due.sort(key=lambda one: (not one.typed_search_attributes.get(WAITING_FOR), self._asked_at(one)))
        turn = asyncio.Semaphore(_ASKED_AT_ONCE)

        async def ask(one: WorkflowExecution) -> None:
            status = None
            async with turn:
                handle = self._session.client.get_workflow_handle(one.id, run_id=one.run_id)
                with suppress(RPCError, WorkflowQueryFailedError, TimeoutError):
                    async with asyncio.timeout(_ANSWERS_WITHIN):
                        status = await handle.query("status", result_type=RunStatus)
            self._told[one.run_id] = _Told(_said(one), time.monotonic(), status)

        await asyncio.gather(*(ask(one) for one in due[:_ASKED_A_ROUND]))

    def _due(self, one: WorkflowExecution, now: float) -> bool:
        told = self._told.get(one.run_id)
        return told is None or told.said != _said(one) or now - told.asked_at > _TOLD_FOR

    def _asked_at(self, one: WorkflowExecution) -> float:
        told = self._told.get(one.run_id)
        return told.asked_at if told else 0.0

    async def _rows(self, found: list[WorkflowExecution]) -> tuple[tuple[Listed, ...], dict[str, RunStatus]]:
        statuses = {run: told.status for run, told in self._told.items() if told.status is not None}
        kept = {one.run_id: await self._row(one, statuses.get(one.run_id)) for one in found}
        self._kept = kept
        return tuple(one.row for one in kept.values()), statuses

    async def _row(self, one: WorkflowExecution, status: RunStatus | None) -> _Row:
        """Put a row together, unless it is as it was: a thousand of them take a core for a quarter of a second."""
        kept, answers = self._kept.get(one.run_id), status is not None or one.run_id not in self._told
        if kept and kept.status is status and kept.told == one.raw_info and kept.row.answers == answers:
            return kept
        row = await row_of(self._session, one, status)
        return _Row(one.raw_info, status, row.model_copy(update={"answers": answers}))

    async def _put(self, rows: tuple[Listed, ...], statuses: dict[str, RunStatus], trouble: str) -> None:
        same = rows == self.now.rows and trouble == self.now.trouble
        async with self._changed:
            at = self.now.at if trouble else datetime.now(UTC)
            number = self.now.number + (0 if same and self.now.number else 1)
            self.now = Snapshot(rows, statuses, at, trouble, number, self.now.records_away_since)
            self._first.set()
            self._changed.notify_all()


def _said(one: WorkflowExecution) -> tuple[object, ...]:
    """Give what visibility knows of a run: where it is the same, the run has hardly anything new to say."""
    return tuple((pair.key.name, pair.value) for pair in one.typed_search_attributes)


async def _most(found: AsyncIterator[WorkflowExecution]) -> AsyncIterator[WorkflowExecution]:
    count = 0
    async for one in found:
        yield one
        count += 1
        if count >= _MOST:
            return
