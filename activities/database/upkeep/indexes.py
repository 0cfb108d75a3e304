"""One index, and what crashes of REINDEX CONCURRENTLY have left of it (runbook 6.2 step 3)."""

from dataclasses import dataclass

from activities.common.errors import Conflict, NotFound, Refused
from activities.database.servers.servers import Connection
from activities.database.upkeep.tables import LEFTOVER, is_leftover
from activities.database.upkeep.work import WorkSession
from audit.text import noun
from libraries import sql

_NAME = 63
_INDEX = """
    SELECT c.oid::bigint AS oid, i.indisvalid AS valid, pg_relation_size(c.oid) AS size, i.indrelid::bigint AS table_oid
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s AND c.relkind = 'i'
"""
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
    valid: bool
    size: int
    table_oid: int

    @property
    def shown(self) -> str:
        """Its size, and whether queries use it."""
        return f"{self.size:,} {noun(self.size, 'byte')}{'' if self.valid else ', invalid'}"

    def check_leftover(self, oid: int) -> None:
        """Refuse to drop what isn't an invalid leftover, or is another than was seen.

        Raises:
            Refused: says what it is.

        """
        if self.valid or self.oid != oid or not is_leftover(self.name):
            message = f"{self.schema}.{self.name} is no invalid leftover (any more): it stays"
            raise Refused(message)


def find_index(connection: Connection, schema: str, name: str) -> FoundIndex:
    """Find an index.

    Raises:
        NotFound: there is none.

    """
    row = connection.execute(_INDEX, (schema, name)).fetchone()
    if row is None:
        message = f"there is no index {schema}.{name} any more"
        raise NotFound(message)
    return FoundIndex(schema, name, row["oid"], row["valid"], row["size"], row["table_oid"])


def drop_leftovers(
    watch: Connection, session: WorkSession, index: FoundIndex, *, only: str | None = None
) -> list[str]:  # fmt: skip
    """Drop what crashes have left of an index, or only one of these; gives their names.

    Raises:
        Conflict: somebody builds an index of the table just now, so an invalid one may be theirs.

    """
    found = [row for row in watch.execute(_LEFTOVERS, (index.table_oid,)) if only or _of(index.name, row["of"])]
    names = [str(row["name"]) for row in found if only is None or row["name"] == only]
    if names and (row := watch.execute(_BUILDING, (index.table_oid,)).fetchone()):
        message = f"session {row['pid']} builds an index of the same table: wait for it, or end it"
        raise Conflict(message)
    for name in names:
        session.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(index.schema, name)))
    return names


def _of(index: str, stem: str) -> bool:
    """Whether a leftover's stem is the index's name; PostgreSQL cuts it where name and suffix are too long together."""
    return index == stem or (len(index.encode()) > _NAME - len("_ccnew00") and index.startswith(stem) and bool(stem))
