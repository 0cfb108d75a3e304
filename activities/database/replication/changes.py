"""What makes a standby a primary, and another follow it, in PostgreSQL's own terms (runbook 7.1 step 2)."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from activities.common.errors import Unavailable
from activities.database.replication.replica_progress import Address, addresses
from audit.text import length
from libraries import psycopg, sql

if TYPE_CHECKING:
    from psycopg.rows import DictRow

    Connection = psycopg.Connection[DictRow]
else:
    Connection = Any  # for annotations alone: nobody needs psycopg for them

_SILENT = ("log_statement = 'none'", "log_min_duration_statement = -1", "log_min_error_statement = 'panic'")
"""So that the server's log doesn't get a conninfo with its password."""


class Promotion(BaseModel):
    """A primary, as it was promoted."""

    timeline: int
    now: datetime
    last_commit_at: datetime | None
    replayed: str | None


def promote(connection: Connection, within: timedelta) -> None:
    """Make a standby the primary, with all the log that it has.

    A primary whose synchronous standbys aren't there would let no commit end, so their names are set aside first.

    Raises:
        Unavailable: not done in time.

    """
    suspend_synchronous(connection)
    # Paused, it would be promoted where it stands, without what it has received since.
    connection.execute("SELECT pg_wal_replay_resume() WHERE pg_is_wal_replay_paused()")
    found = connection.execute("SELECT pg_promote(true, %s) AS done", (round(within.total_seconds()),)).fetchone()
    if found is None or not found["done"]:
        raise Unavailable(f"it was told to become the primary, and was not after {length(within)}")


def suspend_synchronous(connection: Connection) -> None:
    """Let commits not wait for standbys any more."""
    if _setting(connection, "synchronous_standby_names"):
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
        connection.execute("SELECT pg_reload_conf()")


def written(connection: Connection, mark: str) -> Promotion:
    """Commit a transaction that leaves nothing but a line in the log, and tell what it was promoted with."""
    connection.execute("SELECT pg_logical_emit_message(true, 'runbooks', %s)", (mark,))
    found = connection.execute(
        "SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int AS timeline,"
        " clock_timestamp() AS now, pg_last_xact_replay_timestamp() AS last_commit_at,"
        " pg_last_wal_replay_lsn()::text AS replayed"
    ).fetchone()
    assert found is not None
    return Promotion.model_validate(found)


def make_slot(source: Connection, replica: Connection) -> None:
    """Have a slot on the source where the replica wants one, so that it keeps the log that the replica needs."""
    name = _setting(replica, "primary_slot_name")
    if name:
        source.execute(
            "SELECT pg_create_physical_replication_slot(%s, true) WHERE NOT EXISTS"
            " (SELECT FROM pg_replication_slots WHERE slot_name = %s)",
            (name, name),
        )


def follow(connection: Connection, source: Address) -> bool:
    """Have a standby follow another server, as the same user; False where it does already."""
    parts: dict[str, Any] = dict(psycopg.conninfo.conninfo_to_dict(_setting(connection, "primary_conninfo")))
    if parts and addresses(parts) == [source]:
        return False
    parts.pop("hostaddr", None)
    conninfo = psycopg.conninfo.make_conninfo(**{**parts, "host": source[0], "port": source[1]})
    for setting in _SILENT:
        connection.execute(sql.SQL("SET {}").format(sql.SQL(setting)))
    connection.execute(sql.SQL("ALTER SYSTEM SET primary_conninfo = {}").format(sql.Literal(conninfo)))
    connection.execute("SELECT pg_reload_conf()")
    return True


def _setting(connection: Connection, name: str) -> str:
    found = connection.execute("SELECT current_setting(%s) AS value", (name,)).fetchone()
    return str(found["value"]) if found else ""
