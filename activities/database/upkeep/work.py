"""Long statements on a database server: watched, one attempt at a time, and ended with who cancels.

A worker that dies leaves its statement running on the server. That is not lost: the next attempt waits for it. Each
effect's statements run in a session that has the effect's advisory lock, so two never work at once, and its name in
`application_name`, where people see it and the next attempt finds it.
"""

import hashlib
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pydantic import Field
from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.common.effects import Effect
from activities.common.errors import Refused, Unavailable
from activities.common.heartbeat import Progress, beat, pause, resume
from activities.database.servers.servers import Connection, Databases, OnServer
from activities.database.upkeep.sessions import OURS
from audit.text import length
from libraries import pq, psycopg, sql

_LOOK_EVERY = 0.5
_END_WITHIN = 10.0
_PROGRESS = """
    SELECT coalesce(
        (SELECT format('vacuum: %%s, %%s of %%s blocks', phase, heap_blks_scanned, heap_blks_total)
         FROM pg_stat_progress_vacuum WHERE pid = %(pid)s),
        (SELECT format('analyze: %%s, %%s of %%s blocks', phase, sample_blks_scanned, sample_blks_total)
         FROM pg_stat_progress_analyze WHERE pid = %(pid)s),
        (SELECT format('reindex: %%s, %%s of %%s blocks, %%s of %%s rows%%s', phase, blocks_done, blocks_total,
                       tuples_done, tuples_total,
                       CASE WHEN current_locker_pid > 0 THEN ', waits for session ' || current_locker_pid END)
         FROM pg_stat_progress_create_index WHERE pid = %(pid)s),
        (SELECT CASE WHEN wait_event_type = 'Lock'
                     THEN 'waits for session ' || array_to_string(pg_blocking_pids(pid), ', ') ELSE 'works' END
         FROM pg_stat_activity WHERE pid = %(pid)s AND state = 'active')) AS doing
"""


class WorkProgress(Progress):
    """What a long statement says of itself, in heartbeats."""

    doing: str = Field(default="", description="As PostgreSQL's progress views say.")


def session_name(key: str) -> str:
    """Give the `application_name` of an effect's session; the key itself would be too long."""
    return f"{OURS} {hashlib.sha256(key.encode()).hexdigest()[:32]}"


def _lock(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], signed=True)


class WorkSession:
    """A session that does an effect's statements, beside one that watches it."""

    def __init__(self, connection: Connection, watch: Connection, within: timedelta, progress: WorkProgress) -> None:
        self._connection = connection
        self._watch = watch
        self._within = within
        self._progress = progress

    def execute(self, statement: "sql.Composed") -> None:
        """Run a statement to its end, heartbeating what it says of itself.

        Raises:
            CancelledError: the activity was cancelled; the statement is cancelled too.
            Unavailable: this attempt is over, or the server went away; the statement may go on there.
            Refused: it took longer than it may, or somebody on the server cancelled it.

        """
        spent = datetime.now(UTC) - self._progress.started_at
        left = max(self._within - spent, timedelta(seconds=1))
        began = time.monotonic()
        # On the server as well: it holds where no worker is left to watch.
        limit = sql.SQL("SET statement_timeout = {}").format(round(left.total_seconds() * 1000))
        self._connection.execute(limit)
        try:
            self._send(statement)
        except psycopg.errors.QueryCanceled:
            if time.monotonic() - began >= left.total_seconds():
                raise Refused(
                    f"it took longer than {length(self._within)} ({self._progress.doing}), which settings allow at most"
                ) from None
            raise Refused("somebody cancelled it on the server, so it is not begun again") from None

    def _send(self, statement: "sql.Composed") -> None:
        line = self._connection.pgconn
        line.send_query(statement.as_bytes(self._connection))
        poll = select.poll()
        poll.register(line.socket, select.POLLIN)
        while True:
            if poll.poll(_LOOK_EVERY * 1000):
                line.consume_input()
            if not line.is_busy():
                break
            self._look()
        failed = {pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE, pq.ExecStatus.NONFATAL_ERROR}
        error: psycopg.Error | None = None
        while (result := line.get_result()) is not None:
            if result.status in failed:  # the first says why; one that follows only that the server has hung up
                error = error or psycopg.errors.error_from_result(result)
        if error is not None:
            raise error if error.sqlstate else psycopg.OperationalError("the server has hung up")

    def _look(self) -> None:
        try:
            going_on(self._watch, self._connection.info.backend_pid, self._progress)
        except CancelledError:
            end_backend(self._watch, self._connection.info.backend_pid)
            self._connection.close()
            raise
        except (Unavailable, psycopg.Error):
            self._connection.close()  # the statement goes on; the next attempt finds it
            raise


@contextmanager
def work_session(
    databases: Databases, at: OnServer, effect: Effect, watch: Connection, within: timedelta
) -> Iterator[WorkSession]:
    """Give a session of the effect's own; waits for what an earlier attempt has left running.

    Raises:
        CancelledError: the activity was cancelled meanwhile; what was left running is cancelled too.
        Unavailable: this attempt is over.

    """
    progress = resume(WorkProgress)
    with databases.connect(at, statement_timeout=None) as connection:
        connection.execute(sql.SQL("SET application_name = {}").format(session_name(effect.key)))
        mine = connection.info.backend_pid
        while not _locked(connection, effect):
            earlier = left_running(watch, effect.key, but=mine)
            progress.doing = f"waits for an earlier attempt, session {', '.join(map(str, earlier)) or 'unknown'}"
            beat(progress)
            try:
                pause(_LOOK_EVERY)
            except CancelledError:
                if _really_cancelled():
                    for pid in earlier:
                        end_backend(watch, pid)
                    raise
                raise Unavailable("this attempt is over, another one goes on") from None
        yield WorkSession(connection, watch, within, progress)


def _locked(connection: Connection, effect: Effect) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s) AS locked", (_lock(effect.key),)).fetchone()
    return bool(row and row["locked"])


def going_on(watch: Connection, pid: int, progress: WorkProgress) -> None:
    """Heartbeat what a backend does.

    Raises:
        CancelledError: the activity was cancelled.
        Unavailable: this attempt is over.

    """
    if activity.is_cancelled():
        if _really_cancelled():
            raise CancelledError("cancelled")
        raise Unavailable("this attempt is over, another one goes on")
    if activity.is_worker_shutdown():
        raise Unavailable("this worker is shutting down, another attempt goes on elsewhere")
    row = watch.execute(_PROGRESS, {"pid": pid}).fetchone()
    if row and row["doing"]:  # a statement that has just ended says nothing: what it did last stays, for the refusal
        progress.doing = row["doing"]
    beat(progress)


def _really_cancelled() -> bool:
    """Tell a person's cancellation from an attempt that merely ran out of time."""
    details = activity.cancellation_details()
    return details is None or details.cancel_requested


def left_running(connection: Connection, key: str, *, but: int = 0) -> list[int]:
    """Find the sessions that work on an effect."""
    found = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND pid <> %s", (session_name(key), but)
    )
    return [row["pid"] for row in found]


def end_backend(connection: Connection, pid: int) -> None:
    """Cancel what one of our sessions does, and end it where that takes too long.

    Raises:
        Unavailable: it doesn't end.

    """
    end = "SELECT {}(pid) FROM pg_stat_activity WHERE pid = %s AND starts_with(application_name, %s)"
    for how in ("pg_cancel_backend", "pg_terminate_backend"):
        connection.execute(sql.SQL(end).format(sql.Identifier(how)), (pid, OURS))
        deadline = time.monotonic() + _END_WITHIN
        while time.monotonic() < deadline:
            if not _at_work(connection, pid):
                return
            time.sleep(_LOOK_EVERY / 10)
    raise Unavailable(f"session {pid} does not end: look at its server")


def _at_work(connection: Connection, pid: int) -> bool:
    found = connection.execute(
        "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active' AND starts_with(application_name, %s)",
        (pid, OURS),
    )
    return found.fetchone() is not None
