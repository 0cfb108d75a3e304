"""One index, and what crashes of REINDEX CONCURRENTLY have left of it (runbook 6.2 step 3)."""

from dataclasses import dataclass

from activities.common.errors import Conflict, NotFound, Refused
from activities.database.servers.servers import Connection
from activities.database.upkeep.tables import ATTACHED, CONSTRAINT, LEFTOVER, QUOTED, TWIN, is_leftover
from activities.database.upkeep.work import WorkSession
from audit.text import noun
from libraries import psycopg, sql

_NAME = 63
_INDEX = f"""
    SELECT c.oid::bigint AS oid, {QUOTED} AS quoted, i.indisvalid AS valid, i.indislive AS live,
           pg_relation_size(c.oid) AS size,
           i.indrelid::bigint AS table_oid, i.indrelid::regclass::text AS table,
           coalesce(({CONSTRAINT}), '') AS constraint, coalesce(({ATTACHED}), '') AS attached,
           coalesce(twins.twin, '') AS twin, coalesce(twins.twin_valid, false) AS twin_valid,
           pg_get_indexdef(c.oid) AS definition, pg_get_expr(i.indpred, i.indrelid) AS predicate,
           coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) AS nulls_equal,
           ARRAY(SELECT pg_get_indexdef(c.oid, k, true) FROM generate_series(1, i.indnkeyatts) k) AS keys
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN LATERAL ({TWIN}) twins ON true
    WHERE n.nspname = %(schema)s AND c.relname = %(name)s AND c.relkind = 'i'
"""  # noqa: S608 - made of constants
_LEFTOVERS = f"""
    SELECT c.relname AS name, regexp_replace(c.relname, '{LEFTOVER}', '') AS of
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = %s::bigint::oid AND NOT i.indisvalid AND c.relname ~ '{LEFTOVER}'
"""  # noqa: S608 - made of constants
_BUILDING = "SELECT pid FROM pg_stat_progress_create_index WHERE relid = %s::bigint::oid"


@dataclass(frozen=True)
class FoundIndex:
    """An index as it is now."""

    schema: str
    name: str
    oid: int
    quoted: str
    valid: bool
    live: bool
    size: int
    table_oid: int
    table: str
    constraint: str
    attached: str
    twin: str
    twin_valid: bool
    definition: str
    predicate: str | None
    nulls_equal: bool
    keys: list[str]

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{self.schema}.{self.name}"

    @property
    def shown(self) -> str:
        """Its size, and whether queries use it."""
        return f"{self.size:,} {noun(self.size, 'byte')}{'' if self.valid else ', invalid'}"

    @property
    def way_out(self) -> str:
        """How it is taken away by hand."""
        if self.constraint:
            return f"ALTER TABLE {self.table} DROP CONSTRAINT {self.constraint}"
        return f"DROP INDEX CONCURRENTLY {self.quoted}"

    @property
    def duplicates(self) -> str:
        """Say that rows forbid a unique index, in its columns' words and none of the rows'."""
        keys, places = ", ".join(self.keys), ", ".join(str(n + 1) for n, _ in enumerate(self.keys))
        all_known = [] if self.nulls_equal else [f"({key}) IS NOT NULL" for key in self.keys]
        where = " AND ".join([*([f"({self.predicate})"] if self.predicate else []), *all_known])
        where = f" WHERE {where}" if where else ""
        see = f"SELECT {keys}, count(*) FROM {self.table}{where} GROUP BY {places} HAVING count(*) > 1"  # noqa: S608 - for people
        return (
            f"{self.full_name} is unique, and rows of {self.table} are duplicates by its key ({keys}): it can't be "
            f"made valid. See them by {see}; correct them and begin again, or {self.way_out}"
        )

    @property
    def unbuildable(self) -> str:
        """Say that a row doesn't fit what the index is made of."""
        return (
            f"{self.full_name} can't be built: a row of {self.table} does not fit {self.definition}. "
            f"Correct it and begin again, or {self.way_out}"
        )

    def check_needless(self, oid: int) -> None:
        """Refuse to drop what is valid, is needed, or is another than was seen.

        Raises:
            Refused: says what it is.

        """
        why = {
            "is another index by now": self.oid != oid,
            "is valid": self.valid,
            f"is the index of the constraint {self.constraint}": bool(self.constraint),
            f"is attached to {self.attached}": bool(self.attached),
            "is no leftover, and no valid index has all that it would have": not (
                self.twin_valid or (self.twin and is_leftover(self.name)) or not self.live
            ),
        }
        if reasons := [reason for reason, holds in why.items() if holds]:
            raise Refused(f"{self.full_name} {reasons[0]}: it stays")


def find_index(connection: Connection, schema: str, name: str) -> FoundIndex:
    """Find an index.

    Raises:
        NotFound: there is none.

    """
    row = connection.execute(_INDEX.encode(), {"schema": schema, "name": name}).fetchone()
    if row is None:
        raise NotFound(f"there is no index {schema}.{name} any more")
    return FoundIndex(schema=schema, name=name, **row)


def drop_leftovers(watch: Connection, session: WorkSession, index: FoundIndex) -> list[str]:
    """Drop what crashes have left of an index; gives their names.

    Raises:
        Conflict: somebody builds an index of the table just now, so an invalid one may be theirs.

    """
    found = watch.execute(_LEFTOVERS, (index.table_oid,))
    names = [str(row["name"]) for row in found if _of(index.name, row["of"])]
    for name in names:
        drop(watch, session, index, name)
    return names


def drop(watch: Connection, session: WorkSession, index: FoundIndex, name: str) -> None:
    """Drop one of the indexes of an index's table.

    Raises:
        Conflict: somebody builds an index of the table just now, so an invalid one may be theirs.

    """
    if row := watch.execute(_BUILDING, (index.table_oid,)).fetchone():
        raise Conflict(f"session {row['pid']} builds an index of the same table: wait for it, or end it")
    session.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(index.schema, name)))


def rebuild(watch: Connection, session: WorkSession, index: FoundIndex) -> None:
    """Rebuild an index concurrently.

    Raises:
        Refused: rows forbid it; says which key they have twice, or that one doesn't fit, and the way out. Nothing is
            left of the attempt.

    """
    statement = sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(sql.Identifier(index.schema, index.name))
    errors = psycopg.errors
    try:
        session.execute(statement)
    except errors.UniqueViolation:
        message = index.duplicates
    except (errors.DataError, errors.ProgramLimitExceeded) as error:
        message = f"{index.unbuildable} ({type(error).__name__})"
    else:
        return
    drop_leftovers(watch, session, index)
    raise Refused(message)


def _of(index: str, stem: str) -> bool:
    """Whether a leftover's stem is the index's name; PostgreSQL cuts it where name and suffix are too long together."""
    return index == stem or (len(index.encode()) > _NAME - len("_ccnew00") and index.startswith(stem) and bool(stem))
