"""How a table's rows are counted, and a rule of the settings is tried, on a database that may be damaged."""

from dataclasses import dataclass
from datetime import UTC, datetime

from activities.catalogue.database import SqlCheck
from activities.database.integrity.checks import damage
from activities.database.integrity.contents import CheckResult
from activities.database.servers.servers import Connection
from libraries import psycopg, sql

_TABLES = """
SELECT c.oid::bigint AS oid, n.nspname AS schema, c.relname AS table, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND NOT (pg_is_in_recovery() AND c.relpersistence = 'u')
 ORDER BY name
"""


@dataclass(frozen=True)
class Table:
    """A table with rows of its own: a partition, but not its parent."""

    schema: str
    table: str
    name: str


def tables(connection: Connection) -> list[Table]:
    """List the tables that people have made."""
    return [Table(row["schema"], row["table"], row["name"]) for row in connection.execute(_TABLES)]


def count(connection: Connection, table: Table) -> int | None:
    """Count a table's rows; None where it can't be read."""
    # From the table itself: an index may know rows whose page is gone.
    connection.execute("SET enable_indexonlyscan = off")
    try:
        row = connection.execute(
            sql.SQL("SELECT count(*) AS rows FROM ONLY {}").format(sql.Identifier(table.schema, table.table))
        ).fetchone()
    except psycopg.errors.UndefinedTable:
        return None
    except psycopg.Error as error:
        damage(error)
        return None
    return None if row is None else int(row["rows"])


def last_transaction(connection: Connection) -> datetime | None:
    """Tell when the last transaction was committed, as far as the server keeps that."""
    row = connection.execute("SELECT current_setting('track_commit_timestamp')::boolean AS kept").fetchone()
    if row is not None and row["kept"]:
        row = connection.execute("SELECT timestamp AS at FROM pg_last_committed_xact()").fetchone()
        if row is not None and row["at"] is not None:
            committed: datetime = row["at"]
            return committed.astimezone(UTC)
    row = connection.execute("SELECT pg_last_xact_replay_timestamp() AS at").fetchone()
    at: datetime | None = row["at"] if row is not None else None
    return at and at.astimezone(UTC)


def passes(connection: Connection, check: SqlCheck) -> CheckResult:
    """Try a rule: it holds where it gives no row, or one that is true. What it gives is shown to nobody."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SET TRANSACTION READ ONLY")
            # As one prepared statement, so that nothing can follow it.
            found = connection.execute(check.sql.encode(), prepare=True).fetchmany(2)
    except psycopg.Error as error:
        if connection.broken:
            raise
        return CheckResult(name=check.name, passed=False, detail=f"could not be tried ({type(error).__name__})")
    values = [value for row in found for value in row.values()]
    if not found or values == [True]:
        return CheckResult(name=check.name, passed=True)
    detail = "is not true" if len(found) == 1 and len(values) == 1 else "gives rows"
    return CheckResult(name=check.name, passed=False, detail=detail)
