"""How far the archiver has come, and what it could not archive. None of it is evidence; all of it can be lost."""

from dataclasses import dataclass
from datetime import datetime

from audit.store_connection import Pool, rows
from audit.text import kept

_GONE_AFTER = 3


@dataclass(frozen=True)
class Failure:
    """A closed run that could not be archived."""

    workflow_id: str
    run_id: str
    closed_at: datetime
    problem: str
    gone: bool
    attempts: int


class Progress:
    """The archiver's notes. Raises `StoreError` from every method."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def until(self, namespace: str) -> datetime | None:
        """Say until when all closed runs are dealt with; None at the very beginning."""
        with rows(self._pool) as cursor:
            row = cursor.execute(
                "SELECT until FROM runbooks.archive_cursor WHERE namespace = %s", (namespace,)
            ).fetchone()
        return row["until"] if row else None

    def move(self, namespace: str, until: datetime) -> None:
        """Come further, never back."""
        with rows(self._pool) as cursor:
            cursor.execute(
                """
                INSERT INTO runbooks.archive_cursor AS c (namespace, until) VALUES (%s, %s)
                ON CONFLICT (namespace) DO UPDATE
                SET until = greatest(c.until, excluded.until), moved_at = clock_timestamp()
                """,
                (namespace, until),
            )

    def failed(self, namespace: str, failure: Failure) -> None:
        """Remember a run that could not be archived; how often is counted here."""
        with rows(self._pool) as cursor:
            cursor.execute(
                """
                INSERT INTO runbooks.archive_failures AS f (namespace, workflow_id, run_id, closed_at, problem, gone)
                VALUES (%s, %s, %s, %s, %s, %s)
                ON CONFLICT (namespace, run_id) DO UPDATE SET
                    problem = excluded.problem, gone = excluded.gone,
                    attempts = f.attempts + 1, last_at = clock_timestamp()
                """,
                (
                    namespace,
                    kept(failure.workflow_id),
                    failure.run_id,
                    failure.closed_at,
                    kept(failure.problem),
                    failure.gone,
                ),
            )

    def archived(self, namespace: str, run_ids: list[str]) -> None:
        """Take runs off the list that are archived after all."""
        with rows(self._pool) as cursor:
            cursor.execute(
                "DELETE FROM runbooks.archive_failures WHERE namespace = %s AND run_id = ANY(%s)", (namespace, run_ids)
            )

    def due(self, namespace: str, limit: int) -> list[Failure]:
        """Name what is to be tried again: after minutes, then hours, at last once a day.

        What Temporal has said three times that it no longer has can't come back.
        """
        return self._failures(
            namespace,
            f"NOT (gone AND attempts >= {_GONE_AFTER}) "
            "AND last_at < clock_timestamp() - least(interval '1 minute' * 2 ^ least(attempts, 20), interval '1 day')",
            limit,
        )

    def failures(self, namespace: str, limit: int = 100) -> list[Failure]:
        """Name everything that is not archived, longest first."""
        return self._failures(namespace, "true", limit)

    def _failures(self, namespace: str, condition: str, limit: int) -> list[Failure]:
        query = f"""
            SELECT workflow_id, run_id, closed_at, problem, gone, attempts FROM runbooks.archive_failures
            WHERE namespace = %s AND {condition} ORDER BY first_at, run_id LIMIT %s
        """  # noqa: S608 # one of the two conditions above
        with rows(self._pool) as cursor:
            return [Failure(**row) for row in cursor.execute(query.encode(), (namespace, limit))]

    def copied(self, place: str) -> int:
        """Say up to which record the chain is copied to a place."""
        with rows(self._pool) as cursor:
            row = cursor.execute("SELECT seq FROM runbooks.archive_copies WHERE place = %s", (place,)).fetchone()
        return row["seq"] if row else 0

    def copy_to(self, place: str, seq: int) -> None:
        """Come further with copying, never back."""
        with rows(self._pool) as cursor:
            cursor.execute(
                """
                INSERT INTO runbooks.archive_copies AS c (place, seq) VALUES (%s, %s)
                ON CONFLICT (place) DO UPDATE SET seq = greatest(c.seq, excluded.seq)
                """,
                (place, seq),
            )
