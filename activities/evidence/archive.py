"""Closed runs into the archive, before Temporal's retention ends (audit/records.py says what is kept of them).

At-least-once made once: the archive takes a run only if it isn't in already, so whatever is done twice after a crash is
done once. The cursor moves when everything before it is archived, copied, or noted as a failure that is tried again.
"""

import asyncio
import io
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import BaseModel, Field
from temporalio import activity
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.common import aws
from activities.common.errors import Misconfigured, Refused, Unavailable
from activities.evidence import heads
from activities.evidence.evidence import EvidenceStore, Kept
from activities.evidence.heads import key_of
from audit import live
from audit.chain import digest
from audit.errors import RunNotFound
from audit.object_lock import ObjectLock, OtherCopy
from audit.payloads import DecodeOne, Decoder
from audit.records import Head
from audit.sealing import Archivable
from audit.signer import OFF, SigningError
from audit.store import Store
from audit.store_connection import StoreError, StoreRefused
from audit.store_progress import Failure, Progress
from libraries import logger

WORKFLOW_TYPE = "ArchiveRuns"
SWEEP_TYPE = "SweepHolds"
WORKERS_TYPE = "LookForWorkers"
_WINDOW_RUNS = 500
_RETRIES = 500
_AHEAD = 8
"""Histories fetched before they are needed: what bounds memory."""
_PATIENCE = 3
"""Attempts until a run that keeps failing alone is noted, so that it doesn't hold up the others."""
_BEAT = 1.0
_NAMED = 20
_FINEST = timedelta(seconds=1)
_ITS_OWN = {RPCStatusCode.INTERNAL, RPCStatusCode.DATA_LOSS}

_log = logger(__name__)
_Answer = TypeVar("_Answer")


class ArchiveWindow(BaseModel):
    """Archive what closed in the next stretch of time."""

    after: datetime | None = Field(default=None, description="Where the last window ended; null: where the cursor is.")


class ArchivedWindow(BaseModel):
    """What came of it."""

    since: datetime
    until: datetime
    caught_up: bool
    archived: int = 0
    known: int = Field(default=0, description="Closed runs that were in the archive already.")
    failures: int = Field(default=0, description="Runs that could not be archived now; they are tried again.")
    failed: list[str] = Field(default=[], description="The first of them: workflow ID, run ID and why.")
    copied: int = Field(default=0, description="Records copied to the bucket.")
    head: int = Field(default=0, description="Last record of the chain, signed.")
    warning: str = ""


class _Beat(BaseModel):
    done: int = 0
    of: int = 0


@dataclass(frozen=True)
class _Closed:
    workflow_id: str
    run_id: str
    closed_at: datetime


@dataclass(frozen=True)
class Archiver:
    """What the archive is made with."""

    store: Store
    progress: Progress
    heads: EvidenceStore
    """Where signed heads are kept besides the database; whoever can change both can cut the chain unseen."""
    public_keys: Callable[[], Iterable[bytes]]
    """Those that may have signed the chain, our own among them; asked for at each pass, since KMS may not answer."""
    codec: DecodeOne | None = None
    copies: ObjectLock | None = None
    settle: timedelta = timedelta(minutes=10)
    """How late Temporal may list a closed run: so far back from now each pass looks again."""


class Archive:
    """The archiver's one activity."""

    def __init__(self, archiver: Archiver | None) -> None:
        """Take what it is done with; None where no key is configured: then it is off, and says so."""
        self._archiver = archiver

    @activity.defn(name="archive.window")
    async def window(self, request: ArchiveWindow) -> ArchivedWindow:
        """Archive the closed runs of one window, children and continued runs among them, and move the cursor.

        A window has some hundred runs at most. A run that can't be read is noted, reported and tried again; it stops
        none of the others.

        Raises:
            Unavailable: Temporal, PostgreSQL, KMS or S3 doesn't answer.
            Misconfigured: there is no key, no schema, or no permission.
            Refused: the chain is shorter than a signed head that is kept elsewhere says, or has other records; its
                newest part was signed with a key that is not known; the bucket's copies are of another chain.

        """
        if self._archiver is None:
            raise Misconfigured(OFF)
        beat = _Beat()
        async with _beating(beat):
            with _failures():
                return await _Pass(self._archiver, activity.client(), beat).run(request)


class _Pass:
    def __init__(self, archiver: Archiver, client: Client, beat: _Beat) -> None:
        self._with, self._client, self._beat = archiver, client, beat
        self._namespace = client.namespace
        self._patient = activity.info().attempt < _PATIENCE
        self._noted: set[str] = set()

    async def run(self, request: ArchiveWindow) -> ArchivedWindow:
        now = datetime.now(UTC)
        cursor = await _thread(lambda: self._with.progress.until(self._namespace))
        retention = await self._retention()
        since = request.after or cursor or now - retention - timedelta(days=1)
        until = await self._narrowed(since, now)
        warning = ""
        if request.after is None and cursor is not None and cursor < now - retention:
            warning = (
                f"nothing was archived since {cursor:%Y-%m-%d %H:%M} UTC, which is longer than Temporal keeps closed "
                f"runs ({retention}): some may have been deleted unarchived"
            )
            _log.warning("archive came too late", since=cursor, retention=str(retention))
        closed = await self._closed(since, until)
        again = []
        if request.after is None:
            again = await _thread(lambda: self._with.progress.due(self._namespace, _RETRIES))
            self._noted = {failure.run_id for failure in again}
            listed = {run.run_id for run in closed}
            closed += [_Closed(f.workflow_id, f.run_id, f.closed_at) for f in again if f.run_id not in listed]
        # After what may take long, and as near to appending as can be.
        await _thread(lambda: heads.must_have_all(self._with.store, self._with.heads))
        await _thread(lambda: heads.must_know_their_keys(self._with.store, self._with.heads, self._with.public_keys()))
        made = await self._archive(closed)
        head, copied = await _thread(self._publish)
        # Not to `until` where that is almost now: what closed just before it may be listed only in a moment.
        settled = min(until, now - self._with.settle)
        await _thread(lambda: self._with.progress.move(self._namespace, settled))
        result = ArchivedWindow(
            since=since, until=until, caught_up=until >= now, copied=copied, head=head, warning=warning, **made
        )
        _log.info("window archived", **result.model_dump(exclude={"failed"}, mode="json"))
        return result

    async def _retention(self) -> timedelta:
        answer = await self._client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=self._namespace)
        )
        return answer.config.workflow_execution_retention_ttl.ToTimedelta()

    async def _narrowed(self, since: datetime, now: datetime) -> datetime:
        """Find an end that leaves not too many runs for one window."""
        until = now
        while until - since > _FINEST:
            count = await self._client.count_workflows(_query(since, until))
            if count.count <= _WINDOW_RUNS:
                break
            until = since + (until - since) / 2
        return until

    async def _closed(self, since: datetime, until: datetime) -> list[_Closed]:
        """List what closed, children before those that waited for them: not every visibility store can sort."""
        found = [
            _Closed(run.id, run.run_id, run.close_time)
            async for run in self._client.list_workflows(_query(since, until))
            if run.close_time is not None
        ]
        return sorted(found, key=lambda run: (run.closed_at, run.run_id))

    async def _archive(self, closed: list[_Closed]) -> dict[str, object]:
        ids = [run.run_id for run in closed]
        known = await _thread(lambda: self._with.store.among(self._namespace, ids))
        if known:
            await _thread(lambda: self._with.progress.archived(self._namespace, sorted(known)))
        new = [run for run in closed if run.run_id not in known]
        self._beat.of = len(new)
        archived, failed = 0, []
        async for run, outcome in self._in_turn(new):
            self._beat.done += 1
            if isinstance(outcome, Failure):
                failed.append(f"{run.workflow_id} {run.run_id}: {outcome.problem}")
                _log.error("run not archived", workflow_id=run.workflow_id, run_id=run.run_id, why=outcome.problem)
            else:
                archived += outcome
        return {
            "archived": archived,
            "known": len(closed) - archived - len(failed),
            "failures": len(failed),
            "failed": failed[:_NAMED],
        }

    async def _in_turn(self, runs: list[_Closed]) -> AsyncIterator[tuple[_Closed, bool | Failure]]:
        """Read a few runs ahead, and append them in their order."""
        waiting: deque[tuple[_Closed, asyncio.Task[Archivable | Failure]]] = deque()
        left = iter(runs)
        try:
            while True:
                while len(waiting) < _AHEAD and (run := next(left, None)) is not None:
                    waiting.append((run, asyncio.create_task(self._read(run))))
                if not waiting:
                    return
                run, task = waiting.popleft()
                yield run, await self._append(run, await task)
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)

    async def _read(self, run: _Closed) -> Archivable | Failure:
        try:
            fetched = await live.fetch(self._client, run.workflow_id, run.run_id)
            story = await _thread(lambda: fetched.story(Decoder()))
            known = None
            if story.unreadable and self._with.codec is not None:
                known = await _thread(lambda: fetched.story(Decoder(self._with.codec)))
        except RunNotFound:
            return _failure(run, "Temporal no longer has its history", gone=True)
        except RPCError as error:
            if error.status in _ITS_OWN or not (self._patient or error.status is RPCStatusCode.UNAVAILABLE):
                return _failure(run, f"Temporal can't give its history ({error.status.name})")
            raise
        except Exception as error:  # noqa: BLE001 # whatever one history does to its reader, the others are archived
            return _failure(run, f"its history can't be read ({type(error).__name__})")
        return Archivable(fetched.history, story, run.closed_at, known)

    async def _append(self, run: _Closed, found: Archivable | Failure) -> bool | Failure:
        """Append a run, or note why not; False where another attempt was quicker."""
        if isinstance(found, Failure):
            failure = found
        else:
            try:
                record = await _thread(lambda: self._with.store.append(found))
            except StoreError as error:
                # Where it is the database that doesn't answer, noting it fails as well.
                if self._patient and not isinstance(error, StoreRefused):
                    raise
                failure = _failure(run, str(error))
            except (ValueError, TypeError, RecursionError) as error:
                # Whatever a history holds that no record can be made of, the others are archived.
                failure = _failure(run, f"no record can be made of its history ({type(error).__name__})")
            else:
                if run.run_id in self._noted:
                    await _thread(lambda: self._with.progress.archived(self._namespace, [run.run_id]))
                return record is not None
        await _thread(lambda: self._with.progress.failed(self._namespace, failure))
        return failure

    def _publish(self) -> tuple[int, int]:
        """Copy what is new to the bucket, and the signed head to where the chain is not."""
        store, copies, progress = self._with.store, self._with.copies, self._with.progress
        copied = 0
        if copies is not None:
            for record in store.records(after=progress.copied(copies.place)):
                copied += copies.put(record)
                progress.copy_to(copies.place, record.header.seq)
        head = store.sign_head()
        if head is None:
            return 0, copied
        _keep(self._with.heads, head)
        if copies is not None:
            copies.put_head(head)
        return head.seq, copied


def _query(since: datetime, until: datetime) -> str:
    # The archiver's own runs are no evidence of anything but the archive, which speaks for itself; and what a look for
    # holds or for workers finds has a run of its own, where most find nothing.
    looks = " ".join(f"AND WorkflowType != '{name}'" for name in (WORKFLOW_TYPE, SWEEP_TYPE, WORKERS_TYPE))
    return (
        f"CloseTime >= '{since.isoformat()}' AND CloseTime < '{until.isoformat()}' "
        f"AND ExecutionStatus != 'Running' {looks}"
    )


def _failure(run: _Closed, problem: str, *, gone: bool = False) -> Failure:
    return Failure(run.workflow_id, run.run_id, run.closed_at, problem, gone=gone, attempts=1)


def _keep(store: EvidenceStore, head: Head) -> None:
    key = key_of(head)
    content = head.model_dump_json().encode()
    kept = Kept(store.uri(key), digest(content), len(content), effect=head.hash[:16], detail="")
    store.create(key, io.BytesIO(content), kept, "application/json")


async def _thread(work: Callable[[], _Answer]) -> _Answer:
    return await asyncio.to_thread(work)


@asynccontextmanager
async def _beating(beat: _Beat) -> AsyncIterator[None]:
    """Say once a second how far it is, so that a dead worker is noticed in seconds, and a live one never."""

    async def beats() -> None:
        while True:
            activity.heartbeat(beat.model_dump())
            await asyncio.sleep(_BEAT)

    task = asyncio.create_task(beats())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@contextmanager
def _failures() -> Iterator[None]:
    try:
        with aws.failures("S3"):
            yield
    except RPCError as error:
        raise Unavailable(f"Temporal did not answer ({error.status.name})") from None
    except (StoreError, SigningError) as error:
        raise (Unavailable if error.passing else Misconfigured)(str(error)) from None
    except OtherCopy as error:
        raise Refused(str(error)) from None
