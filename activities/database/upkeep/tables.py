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
from activities.database.servers.versions import PARTITIONED_STATISTICS
from libraries import psycopg, sql

LEFTOVER = r"_cc(new|old)\d*$"
"""How REINDEX CONCURRENTLY names what it builds, and what it takes away; an invalid one is left by a crash."""

_BLOCK = 8192
_FILLED = 0.9
"""How full REINDEX leaves the pages of a B-tree."""

_SYSTEM = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
_PART_OF = """
           CASE WHEN c.relispartition THEN ARRAY(
                    SELECT relid::oid::bigint FROM pg_partition_ancestors(c.oid) WHERE relid <> c.oid)
                END AS part_of
"""
# Of a table from which others inherit, autovacuum sees the changes of its own rows alone; its statistics are of all.
_HEIRS = """
    WITH RECURSIVE below AS (
        SELECT h.inhrelid AS oid FROM pg_inherits h WHERE h.inhparent = c.oid
        UNION SELECT h.inhrelid FROM pg_inherits h JOIN below ON h.inhparent = below.oid)
    SELECT sum(hs.n_live_tup) AS rows,
           sum(CASE WHEN greatest(s.last_analyze, s.last_autoanalyze) + interval '1 hour'
                         >= coalesce(greatest(hs.last_analyze, hs.last_autoanalyze), '-infinity')
                    THEN hs.n_mod_since_analyze ELSE greatest(hs.n_live_tup, hs.n_mod_since_analyze) END) AS changed
    FROM below JOIN pg_stat_all_tables hs ON hs.relid = below.oid
"""
_TABLES = f"""
    SELECT c.oid::bigint AS oid, n.nspname AS schema_name, c.relname AS name, c.relpages::bigint * {_BLOCK} AS size,
           coalesce(s.n_live_tup, 0) AS rows, coalesce(s.n_dead_tup, 0) AS dead,
           coalesce(s.n_mod_since_analyze, 0) AS changed,
           greatest(age(c.relfrozenxid), age(t.relfrozenxid)) AS age,
           greatest(mxid_age(c.relminmxid), mxid_age(t.relminmxid)) AS multixact_age,
           greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,
           greatest(s.last_analyze, s.last_autoanalyze) AS analyzed_at,
           coalesce(heirs.rows, 0)::bigint AS heirs_rows, coalesce(heirs.changed, 0)::bigint AS heirs_changed,
           {_PART_OF}
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_class t ON t.oid = c.reltoastrelid AND t.relkind = 't'
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
    LEFT JOIN LATERAL ({_HEIRS}) heirs ON c.relhassubclass
    WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't' AND {_SYSTEM}
"""  # noqa: S608 - made of constants
# Autovacuum analyzes partitions, and never the partitioned table: what has changed is what its partitions say, or how
# many rows there are more or fewer. One that was analyzed since counts with all its rows: for an hour it may have been
# with the partitioned table, after it. Before 14 nobody keeps when that was; there is only whether it ever was.
_PARTITIONED = f"""
    SELECT c.oid::bigint AS oid, n.nspname AS schema_name, c.relname AS name, true AS partitioned,
           0 AS dead, 0 AS age, s.at AS analyzed_at, {_PART_OF},
           coalesce(sum(l.relpages::bigint * {_BLOCK}), 0)::bigint AS size,
           coalesce(sum(ls.n_live_tup), 0)::bigint AS rows,
           greatest(
               coalesce(sum(CASE WHEN s.ever AND coalesce(s.at + interval '1 hour' >= greatest(
                                          ls.last_analyze, ls.last_autoanalyze), true)
                                 THEN ls.n_mod_since_analyze ELSE greatest(ls.n_live_tup, ls.n_mod_since_analyze) END),
                        0),
               CASE WHEN s.at IS NOT NULL THEN abs(coalesce(sum(ls.n_live_tup), 0) - greatest(c.reltuples, 0)) END
           )::bigint AS changed
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT known.at, known.at IS NOT NULL OR NOT {{kept}} AND EXISTS (
                   SELECT FROM pg_stats p
                   WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND p.inherited) AS ever
        FROM (SELECT max(greatest(a.last_analyze, a.last_autoanalyze)) AS at
              FROM pg_stat_all_tables a WHERE a.relid = c.oid) known
    ) s
    LEFT JOIN pg_partition_tree(c.oid) p ON p.isleaf
    LEFT JOIN pg_class l ON l.oid = p.relid AND l.relkind = 'r'
    LEFT JOIN pg_stat_all_tables ls ON ls.relid = l.oid
    WHERE c.relkind = 'p' AND c.relpersistence <> 't' AND {_SYSTEM}
    GROUP BY c.oid, c.relname, c.reltuples, c.relispartition, n.nspname, s.at, s.ever
"""  # noqa: S608 - made of constants
TWIN = f"""
    -- Another index of the table that has all that an invalid one would have: a valid one, or the one that a leftover
    -- of REINDEX CONCURRENTLY was to replace.
    SELECT format('%%s.%%s', vn.nspname, v.relname) AS twin, vi.indisvalid AS twin_valid
    FROM pg_index vi JOIN pg_class v ON v.oid = vi.indexrelid JOIN pg_namespace vn ON vn.oid = v.relnamespace
    WHERE NOT i.indisvalid AND NOT i.indisexclusion AND NOT vi.indisexclusion
      AND vi.indrelid = i.indrelid AND vi.indexrelid <> i.indexrelid AND v.relam = c.relam AND v.relkind = c.relkind
      AND (vi.indisvalid OR v.relname !~ '{LEFTOVER}')
      AND (vi.indisunique OR NOT i.indisunique) AND vi.indnkeyatts = i.indnkeyatts
      AND vi.indkey::text = i.indkey::text AND vi.indclass::text = i.indclass::text
      AND vi.indcollation::text = i.indcollation::text AND vi.indoption::text = i.indoption::text
      AND pg_get_expr(vi.indexprs, vi.indrelid) IS NOT DISTINCT FROM pg_get_expr(i.indexprs, i.indrelid)
      AND pg_get_expr(vi.indpred, vi.indrelid) IS NOT DISTINCT FROM pg_get_expr(i.indpred, i.indrelid)
      -- Of PostgreSQL 15 on.
      AND (to_jsonb(vi) ->> 'indnullsnotdistinct') IS NOT DISTINCT FROM (to_jsonb(i) ->> 'indnullsnotdistinct')
    ORDER BY vi.indisvalid DESC, v.relname LIMIT 1
"""  # noqa: S608 - made of constants
QUOTED = "quote_ident(n.nspname) || '.' || quote_ident(c.relname)"
"""An index's name as a statement takes it: people are told which to type."""
CONSTRAINT = """
    SELECT quote_ident(conname) FROM pg_constraint
    WHERE conindid = i.indexrelid AND contype IN ('p', 'u', 'x') LIMIT 1
"""
ATTACHED = """
    SELECT format('%%s.%%s', pn.nspname, pc.relname) FROM pg_inherits h JOIN pg_class pc ON pc.oid = h.inhparent
    JOIN pg_namespace pn ON pn.oid = pc.relnamespace WHERE h.inhrelid = i.indexrelid
"""
_INDEXES = f"""
    SELECT c.oid::bigint AS oid, n.nspname AS schema_name, c.relname AS name, {QUOTED} AS quoted,
           i.indislive AS live, tables.name AS table, tables.schema AS table_schema, t.relkind = 't' AS toast,
           c.relpages::bigint * {_BLOCK} AS size, c.reltuples::float AS entries, am.amname AS method,
           i.indisvalid AS valid, NOT (i.indisexclusion OR t.relkind = 't' AND NOT i.indisvalid) AS concurrently,
           stats.width::float AS width,
           EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.relid = i.indrelid) AS being_built,
           coalesce(twins.twin, '') AS twin, coalesce(twins.twin_valid, false) AS twin_valid,
           coalesce(({CONSTRAINT}), '') AS constraint, coalesce(({ATTACHED}), '') AS attached,
           CASE WHEN c.relispartition OR t.relispartition THEN ARRAY(
                    SELECT unnest(ARRAY[ac.relname::text, format('%%s.%%s', an.nspname, ac.relname)])
                    FROM (SELECT relid FROM pg_partition_ancestors(c.oid)
                          UNION SELECT relid FROM pg_partition_ancestors(t.oid)) a
                    JOIN pg_class ac ON ac.oid = a.relid JOIN pg_namespace an ON an.oid = ac.relnamespace)
                ELSE '{{}}'::text[] END AS part_of
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_am am ON am.oid = c.relam
    CROSS JOIN LATERAL (  -- A TOAST table's is the table that it belongs to.
        SELECT o.relname AS name, n.nspname AS schema, o.relpersistence AS persistence
        FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
        WHERE CASE t.relkind WHEN 't' THEN o.reltoastrelid = t.oid ELSE o.oid = t.oid END AND {_SYSTEM}
    ) tables
    LEFT JOIN LATERAL ({TWIN}) twins ON true
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
    WHERE c.relkind = 'i' AND tables.persistence <> 't'
"""  # noqa: S608 - made of constants
_PARTITIONED_INDEXES = f"""
    SELECT c.oid::bigint AS oid, n.nspname AS schema_name, c.relname AS name, {QUOTED} AS quoted, t.relname AS table,
           n.nspname AS table_schema, true AS partitioned, 0 AS size, am.amname AS method, i.indisvalid AS valid,
           ARRAY(SELECT format('%%I.%%I', pn.nspname, pt.relname)
                 FROM pg_inherits h JOIN pg_class pt ON pt.oid = h.inhrelid
                 JOIN pg_namespace pn ON pn.oid = pt.relnamespace
                 WHERE h.inhparent = t.oid AND pt.relkind IN ('r', 'p') AND NOT EXISTS (
                     SELECT FROM pg_inherits hi JOIN pg_index pi ON pi.indexrelid = hi.inhrelid
                     WHERE hi.inhparent = c.oid AND pi.indrelid = pt.oid)
                 ORDER BY 1 LIMIT 5) AS lacking
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_am am ON am.oid = c.relam
    WHERE c.relkind = 'I' AND {_SYSTEM}
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
    partitioned: bool = Field(default=False, description="It has partitions and no rows of its own.")
    heirs_rows: int = Field(default=0, description="Rows of the tables that inherit from it.")
    heirs_changed: int = Field(default=0, description="Of those, changed since its own last ANALYZE.")
    part_of: list[int] = Field(default_factory=list, description="OIDs of the partitioned tables that it is of.")
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
    quoted: str = Field(default="", description="Schema and name as a statement takes them.")
    table: str
    table_schema: str = ""
    toast: bool = Field(default=False, description="It is of the table's TOAST table.")
    partitioned: bool = Field(default=False, description="It has partitions and no entries of its own.")
    lacking: list[str] = Field(default_factory=list, description="Partitions that have none for it; a few of them.")
    size: int = Field(description="Bytes, when statistics were last written, or as measured.")
    method: str = "btree"
    valid: bool = True
    live: bool = Field(default=True, description="Whether writes still reach it; not one that is being dropped.")
    concurrently: bool = Field(default=True, description="Whether it can be rebuilt without stopping writes.")
    being_built: bool = Field(default=False, description="Somebody builds an index of its table now.")
    bloat: float | None = Field(default=None, description="Wasted share, 0 to 1; None where it isn't known.")
    exact: bool = Field(default=False, description="It was measured, not estimated.")
    leftover: bool = Field(default=False, description="A crash of REINDEX CONCURRENTLY left it; queries don't use it.")
    twin: str = Field(default="", description="Of an invalid one: the index that has all that it would have.")
    twin_valid: bool = Field(default=False, description="Queries use that.")
    constraint: str = Field(default="", description="That it is the index of.")
    attached: str = Field(default="", description="The partitioned index that it is a part of.")
    named: bool = Field(default=False, description="The request names it or its table.")

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema_name}.{self.name}"

    @property
    def of_table(self) -> str:
        """Its table, where its own name doesn't tell."""
        return f" (TOAST of {self.table_schema}.{self.table})" if self.toast else ""

    @property
    def in_sql(self) -> str:
        """What to type in a statement."""
        return self.quoted or self.full_name

    @property
    def half_dropped(self) -> bool:
        """Somebody's DROP INDEX CONCURRENTLY has begun to take it away, and was broken off."""
        return not (self.valid or self.live or self.leftover)

    @property
    def needless(self) -> bool:
        """It is invalid, nothing needs it, and another has all that it would have; or somebody has begun to drop it."""
        spare = not (self.valid or self.being_built or self.constraint or self.attached or self.partitioned)
        return spare and (self.leftover or self.twin_valid or (self.half_dropped and not self.named))

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
    kept = "true" if connection.info.server_version >= PARTITIONED_STATISTICS else "false"
    queries = (_TABLES, _PARTITIONED.format(kept=kept))
    found = [_table(row, names) for query in queries for row in connection.execute(query.encode())]
    budget = _Budget(connection, policy.measure_within / 2)
    # After a crash of the server its statistics begin anew, so large tables are counted whatever these say.
    for table in sorted(found, key=lambda table: (table.dead, table.size), reverse=True):
        small = table.dead < policy.dead_rows and table.size < policy.index_size and not table.named
        if small or table.partitioned:
            continue
        measured = budget.measure("pgstattuple_approx", table.oid)
        if measured is not None:
            table.dead = round(measured["dead_tuple_count"])
            table.rows = round(measured["approx_tuple_count"])
            table.exact = True
    return found


def indexes(connection: Connection, policy: MaintenancePolicy, names: list[str]) -> list[IndexState]:
    """Give all indexes, with the room they waste.

    One of a partitioned table has no entries: who names it, or its table, names those of the partitions.
    """
    found = [_index(row, names) for row in connection.execute(_INDEXES.encode(), {})]
    found += [IndexState.model_validate(row) for row in connection.execute(_PARTITIONED_INDEXES.encode(), {})]
    budget = _Budget(connection, policy.measure_within / 2)
    for index in sorted(found, key=lambda index: index.size, reverse=True):
        small = index.size < policy.index_size and not index.named
        if small or index.method != "btree" or not index.valid or index.partitioned:
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
    table = TableState.model_validate(row | {"part_of": row["part_of"] or []})
    table.named = bool({table.name, table.full_name} & {*names})
    return table


def _index(row: dict[str, Any], names: list[str]) -> IndexState:
    index = IndexState.model_validate({name: row[name] for name in row if name not in {"entries", "width", "part_of"}})
    of_table = {index.table, f"{index.table_schema}.{index.table}"}
    index.named = bool({index.name, index.full_name, *of_table, *row["part_of"]} & {*names})
    # Without another that has what it would have, its name alone doesn't say that nobody needs it.
    index.leftover = not index.valid and not index.being_built and is_leftover(index.name) and bool(index.twin)
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
