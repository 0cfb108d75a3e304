"""Which message of Slack is a run's, and what was posted below it (runbooks.slack_threads).

It is what another process needs that follows the runs after this one was killed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import Connection, Cursor
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool
from pydantic import BaseModel

from audit.text import kept


class Thread(BaseModel):
    """A run's thread."""

    workflow_id: str
    run_id: str
    incident_id: str = ""
    channel: str
    message_id: str = ""
    shows: str = ""
    told: list[str] = []
    ended: bool = False


class Threads:
    """The table."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def open(self) -> list[Thread]:
        """Give the threads of runs whose end has not been told yet."""
        with self._rows() as rows:
            return [Thread.model_validate(row) for row in rows.execute(f"{_SELECT} WHERE NOT ended").fetchall()]

    def find(self, workflow_id: str, run_id: str) -> Thread | None:
        """Give a run's thread; None where it has none."""
        with self._rows() as rows:
            row = rows.execute(f"{_SELECT} WHERE (workflow_id, run_id) = (%s, %s)", (workflow_id, run_id)).fetchone()
        return Thread.model_validate(row) if row else None

    def before(self, workflow_id: str, incident_id: str) -> Thread | None:
        """Give the newest thread of an incident, or of a workflow ID: what goes on there goes on in that thread."""
        with self._rows() as rows:
            row = rows.execute(
                f"{_SELECT} WHERE message_id <> '' AND (workflow_id = %s OR (incident_id <> '' AND incident_id = %s)) "
                "ORDER BY opened_at DESC LIMIT 1",
                (workflow_id, incident_id),
            ).fetchone()
        return Thread.model_validate(row) if row else None

    def put(self, thread: Thread) -> Thread:
        """Enter a thread, before its first message is posted; gives the one that is there already."""
        values = thread.model_dump() | {"incident_id": kept(thread.incident_id)}
        with self._rows() as rows:
            rows.execute(
                "INSERT INTO runbooks.slack_threads (workflow_id, run_id, incident_id, channel, message_id, told) "
                "VALUES (%(workflow_id)s, %(run_id)s, %(incident_id)s, %(channel)s, %(message_id)s, %(told)s) "
                "ON CONFLICT DO NOTHING",
                values,
            )
        return self.find(thread.workflow_id, thread.run_id) or thread

    def keep(self, thread: Thread) -> None:
        """Keep what has become of it."""
        with self._rows() as rows:
            rows.execute(
                "UPDATE runbooks.slack_threads SET message_id = %(message_id)s, shows = %(shows)s, told = %(told)s, "
                "ended = %(ended)s, incident_id = %(incident_id)s, channel = %(channel)s, "
                "changed_at = clock_timestamp() WHERE (workflow_id, run_id) = (%(workflow_id)s, %(run_id)s)",
                thread.model_dump() | {"incident_id": kept(thread.incident_id)},
            )

    @contextmanager
    def _rows(self) -> Iterator[Cursor[DictRow]]:
        with self._pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
            yield rows


_SELECT = "SELECT workflow_id, run_id, incident_id, channel, message_id, shows, told, ended FROM runbooks.slack_threads"
_LOCK = 7_265_526  # any number that nothing else here locks


def leads(connection: Connection[Any]) -> bool:
    """Tell whether this connection's process follows from now on: PostgreSQL gives the lock to one at a time.

    It lasts as long as the connection, so another takes over as soon as a process is dead.
    """
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
    return bool(row and row[0])
