"""The state of tables and indexes: dead rows, stale statistics, old rows, wasted room (runbook 6.2 step 1).

Where the extension pgstattuple is there, what could be worth the work is measured exactly, for as long as settings
allow; the rest is estimated from the statistics. No measuring waits for a lock longer than a second.
"""

import math
import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field

from activities.catalogue.database import MaintenancePolicy
from activities.database.servers.servers import Connection
from libraries import psycopg, sql

LEFTOVER = r"_cc(new|old)\d*$"
"""How REINDEX CONCURRENTLY names what it builds, and what it takes away; an invalid one is left by a crash."""

_BLOCK = 8192
_FILLED = 0.9
"""How full REINDEX leaves the pages of a B-tree."""

_SYSTEM = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
_TABLES = f"""
    SELECT c.oid::bigint AS oid, n.nspname AS schema_name, c.relname AS name, c.relpages::bigint * {_BLOCK} AS size,
           coalesce(s.n_live_tup, 0) AS rows, coalesce(s.n_dead_tup, 0) AS dead,
           coalesce(s.n_mod_since_analyze, 0) AS changed,
           greatest(age(c.relfrozenxid), age(t.relfrozenxid)) AS age,
           greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) AS multixact_age,
           greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,
           greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid AND t.relkind = 't'
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND {_SYSTEM}
"""  # noqa: S608 - made of constants
_INDEXES = f"""
    SELECT c.oid::bigint AS oid, n.nspname AS schema_name, c.relname AS name, t.relname AS table,
           c.relpages::bigint * {_BLOCK} AS size, c.reltuples::float AS entries, am.amname AS method,
           i.indisvalid AS valid, NOT i.indisexclusion AS concurrently, stats.width::float AS width,
           EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = i.indrelid) AS being_built
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_am am ON am.oid = c.relam
    CROSS JOIN LATERAL (
        -- What an entry takes: its header (and null bitmap), its columns, aligned to 8, and its pointer.
        SELECT CASE WHEN bool_and(st.avg_width IS NOT NULL)
                    THEN 12 + 8 * ceil(sum((1 - st.null_frac) * st.avg_width) / 8)
                         + CASE WHEN max(st.null_frac) > 0 THEN 8 ELSE 0 END END AS width
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = CASE k.attnum WHEN 0 THEN i.indexrelid ELSE i.indrelid END
                           AND a.attnum = CASE k.attnum WHEN 0 THEN k.place ELSE k.attnum END
        LEFT JOIN pg_stats st ON st.schemaname = n.nspname AND st.attname = a.attname AND NOT st.inherited
                             AND st.tablename = CASE k.attnum WHEN 0 THEN c.relname ELSE t.relname END
    ) stats
    WHERE c.relkind = 'i' AND t.relpersistence <> 't' AND {_SYSTEM}
"""  # noqa: S608 - made of constants


class TableState(BaseModel):
    """One table."""

    oid: int
    schema_name: str
    name: str
    size: int = Field(description="Bytes, when statistics were last written.")
    rows: int
    dead: int
    exact: bool = Field(default=False, description="Dead rows were counted, not estimated.")
    changed: int = Field(description="Rows changed since the last ANALYZE.")
    age: int = Field(description="Transactions since its oldest row that isn't frozen.")
    multixact_age: int = 0
    vacuumed_at: datetime | None = None
    analyzed_at: datetime | None = None
    named: bool = Field(default=False, description="The request names it.")

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema_name}.{self.name}"

    @property
    def dead_share(self) -> float:
        """Dead rows of all, 0 to 1."""
        return self.dead / max(self.rows + self.dead, 1)


class IndexState(BaseModel):
    """One index."""

    oid: int
    schema_name: str
    name: str
    table: str
    size: int = Field(description="Bytes, when statistics were last written, or as measured.")
    method: str = "btree"
    valid: bool = True
    concurrently: bool = Field(default=True, description="Whether it can be rebuilt without stopping writes.")
    being_built: bool = Field(default=False, description="Somebody builds an index of its table now.")
    bloat: float | None = Field(default=None, description="Wasted share, 0 to 1; None where it isn't known.")
    exact: bool = Field(default=False, description="It was measured, not estimated.")
    leftover: bool = Field(default=False, description="A crash of REINDEX CONCURRENTLY left it; queries don't use it.")
    named: bool = Field(default=False, description="The request names it or its table.")

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema_name}.{self.name}"

    @property
    def wasted(self) -> int:
        """Bytes."""
        return round(self.size * (self.bloat or 0))


class _Budget:
    """Time for exact measuring."""

    def __init__(self, connection: Connection, within: timedelta) -> None:
        self._connection = connection
        self._until = time.monotonic() + within.total_seconds()
        found = connection.execute(
            "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
            "WHERE e.extname = 'pgstattuple'"
        ).fetchone()
        self._schema = str(found["nspname"]) if found else None

    def measure(self, function: str, oid: int) -> dict[str, Any] | None:
        """Ask a function of pgstattuple; None where it isn't there, time is up, or somebody locks the relation."""
        left = round((self._until - time.monotonic()) * 1000)
        if self._schema is None or left <= 0:
            return None
        ask = sql.SQL("SELECT * FROM {}({}::oid::regclass)").format(sql.Identifier(self._schema, function), oid)
        try:
            with self._connection.transaction():
                self._connection.execute(sql.SQL("SET LOCAL statement_timeout = {}").format(left))
                self._connection.execute("SET LOCAL lock_timeout = '1s'")
                return self._connection.execute(ask).fetchone()
        except psycopg.OperationalError as error:  # a lock, or the time is up; else the server is gone
            if error.sqlstate is None:
                raise
        except psycopg.Error:  # it was dropped meanwhile, or is of a kind that can't be measured
            pass
        return None


def tables(connection: Connection, policy: MaintenancePolicy, names: list[str]) -> list[TableState]:
    """Give all tables, with dead rows counted where they could matter."""
    found = [_table(row, names) for row in connection.execute(_TABLES)]
    budget = _Budget(connection, policy.measure_within / 2)
    # After a crash of the server its statistics begin anew, so large tables are counted whatever these say.
    for table in sorted(found, key=lambda table: (table.dead, table.size), reverse=True):
        if table.dead < policy.dead_rows and table.size < policy.index_size and not table.named:
            continue
        measured = budget.measure("pgstattuple_approx", table.oid)
        if measured is not None:
            table.dead = round(measured["dead_tuple_count"])
            table.rows = round(measured["approx_tuple_count"])
            table.exact = True
    return found


def indexes(connection: Connection, policy: MaintenancePolicy, names: list[str]) -> list[IndexState]:
    """Give all indexes, with the room they waste."""
    found = [_index(row, names) for row in connection.execute(_INDEXES)]
    budget = _Budget(connection, policy.measure_within / 2)
    for index in sorted(found, key=lambda index: index.size, reverse=True):
        small = index.size < policy.index_size and not index.named
        if small or index.method != "btree" or not index.valid:
            continue
        measured = budget.measure("pgstatindex", index.oid)
        if measured is not None:
            index.bloat, index.exact, index.size = _wasted(measured), True, int(measured["index_size"])
    return found


def unknown(names: list[str], known: Sequence[TableState | IndexState]) -> Iterator[str]:
    """Give those names that there is not exactly one of, and why."""
    for name in names:
        fits = sorted(one.full_name for one in known if name in {one.name, one.full_name})
        if not fits:
            yield name
        elif len(fits) > 1 and name not in fits:
            yield f"{name} (say which: {', '.join(fits)})"


def _table(row: dict[str, Any], names: list[str]) -> TableState:
    table = TableState.model_validate(row)
    table.named = bool({table.name, table.full_name} & {*names})
    return table


def _index(row: dict[str, Any], names: list[str]) -> IndexState:
    index = IndexState.model_validate({name: row[name] for name in row if name not in {"entries", "width"}})
    of_table = {index.table, f"{index.schema_name}.{index.table}"}
    index.named = bool({index.name, index.full_name, *of_table} & {*names})
    index.leftover = not index.valid and not index.being_built and is_leftover(index.name)
    if index.method == "btree" and row["width"] and row["entries"] > 0 and index.size:
        pages = 2 + row["entries"] * row["width"] / ((_BLOCK - 40) * _FILLED)
        index.bloat = max(1 - pages * _BLOCK / index.size, 0.0)
    return index


def is_leftover(name: str) -> bool:
    """Tell an index of REINDEX CONCURRENTLY by its name."""
    return re.search(LEFTOVER, name) is not None


def _wasted(measured: dict[str, Any]) -> float:
    """Compare an index's pages with those it needs."""
    pages = max(int(measured["index_size"]) // _BLOCK, 1)
    density = float(measured["avg_leaf_density"])
    if math.isnan(density):  # no entry at all
        density = 0.0
    needed = 1 + int(measured["internal_pages"]) + int(measured["leaf_pages"]) * min(density / 100 / _FILLED, 1)
    return max(1 - needed / pages, 0.0)
