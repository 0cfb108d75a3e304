"""Whether a primary answers, as one place sees it (runbook 7.1 step 1).

One look from one place proves nothing: a worker may be cut off from a primary that serves everybody else. So the
replicas are asked as well when they have last heard from it. They hear from an idle primary every half minute at least.
"""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import BaseModel, Field

from libraries import psycopg
from records_schema.server import reason

_NOT_SERVING = ("starting up", "shutting down", "in recovery mode", "not yet accepting connections")
_UNANSWERED = "takes connections, but did not answer a query in time"
Parameters = Mapping[str, Any]
"""libpq's, of one connection."""


class Place(BaseModel):
    """What one place says of a primary."""

    name: str = Field(description="`worker`, a replica, or `metrics`.")
    answers: bool = Field(description="It is known to live; False as well where this place can't tell.")
    detail: str

    def __str__(self) -> str:
        return f"{self.name}: {self.detail}"


def ask_primary(parameters: Parameters) -> Place:
    """Ask it ourselves; it answers where it is open for writes, and where it refuses us without being down."""
    answers, detail = _ask(parameters)
    return Place(name="worker", answers=answers, detail=detail)


def _ask(parameters: Parameters) -> tuple[bool, str]:
    try:
        with psycopg.connect(**parameters, autocommit=True) as connection:
            in_recovery = connection.execute("SELECT pg_is_in_recovery()").fetchone() == (True,)
    except psycopg.errors.QueryCanceled:
        return False, _UNANSWERED
    except psycopg.Error as error:
        # `FATAL:` is the server's own word, whatever follows it.
        lives = "FATAL:" in str(error) and not any(phrase in str(error) for phrase in _NOT_SERVING)
        return lives, f"{'lets nobody in' if lives else 'no answer'} ({reason(error)})"
    return (False, "answers as a standby, takes no writes") if in_recovery else (True, "answers, takes writes")


def ask_replica(name: str, parameters: Parameters, *, silent_for: float, others: Collection[tuple[str, int]]) -> Place:
    """Ask a replica when it has heard from its primary.

    Args:
        name: Of the replica.
        parameters: To connect to it.
        silent_for: Seconds since the primary first did not answer us: a message since then proves that it lives.
        others: Host and port of servers that are not the primary; who follows one of those can't tell.

    """
    try:
        with psycopg.connect(**parameters, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            found = connection.execute(
                "SELECT status, sender_host, sender_port, extract(epoch FROM clock_timestamp() - last_msg_receipt_time)"
                " AS age FROM pg_stat_wal_receiver"
            ).fetchone()
    except psycopg.Error as error:
        return Place(name=name, answers=False, detail=f"could not be asked ({reason(error)})")
    if found is None or found["status"] != "streaming" or found["age"] is None:
        return Place(name=name, answers=False, detail="has lost its connection to it")
    if (found["sender_host"], found["sender_port"]) in others:
        return Place(name=name, answers=False, detail="follows another server")
    age = float(found["age"])
    heard = f"connected, heard from it {age:.1f} s ago"
    return Place(name=name, answers=age < silent_for, detail=heard)
