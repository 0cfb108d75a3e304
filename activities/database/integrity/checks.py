"""How one relation, or the catalogue, is checked for damage, and which of PostgreSQL's errors are damage."""

from dataclasses import dataclass
from typing import Literal, LiteralString

from pydantic import BaseModel, Field

from activities.common.errors import Misconfigured
from activities.database.servers.servers import Connection
from libraries import psycopg, sql

_SHOWN = 3
_CHARACTERS = 200
_DAMAGE = ("XX", "58")
"""Classes of SQLSTATE: internal errors, among them data_corrupted, and what the system says of files."""


Kind = Literal["table", "toast", "index", "catalogue"]


class Damage(BaseModel):
    """One thing that is wrong."""

    name: str = Field(description="Of the relation, or of what the catalogue should keep.")
    kind: Kind
    what: str = Field(description="In amcheck's or PostgreSQL's words; nothing of a row's data.")

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.what}"


@dataclass(frozen=True)
class Relation:
    """A heap or a B-tree index."""

    oid: int
    name: str
    kind: Kind


_RELATIONS = """
SELECT c.oid::bigint AS oid, CASE c.relkind WHEN 'i' THEN 'index' WHEN 't' THEN 'toast' ELSE 'table' END AS kind,
       CASE c.relkind WHEN 't' THEN coalesce(owner.oid::regclass::text, c.oid::regclass::text)
                      ELSE c.oid::regclass::text END AS name
  FROM pg_class c
  JOIN pg_am am ON am.oid = c.relam
  LEFT JOIN pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_class owner ON owner.reltoastrelid = c.oid
 WHERE c.relpersistence <> 't'
   AND (c.relkind IN ('r', 'm', 't') AND am.amname = 'heap'
        OR c.relkind = 'i' AND am.amname = 'btree' AND i.indisvalid AND i.indisready)
   AND NOT (pg_is_in_recovery() AND c.relpersistence = 'u')
 ORDER BY c.oid
"""

_CATALOGUE: dict[str, LiteralString] = {
    "every relation has its file": """
        SELECT count(*) AS broken FROM pg_class
         WHERE relkind IN ('r', 'm', 't', 'i', 'S') AND relpersistence = 'p'
           AND pg_stat_file(pg_relation_filepath(oid), true) IS NULL
        """,
    "every relation has its columns": """
        SELECT count(*) AS broken FROM pg_class c
         WHERE relnatts <> (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)
        """,
    "every index has its table": """
        SELECT count(*) AS broken FROM pg_index i
         WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = i.indrelid)
            OR NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = i.indexrelid)
        """,
    "every constraint has its table": """
        SELECT count(*) AS broken FROM pg_constraint k
         WHERE k.conrelid <> 0 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = k.conrelid)
        """,
}


@dataclass(frozen=True)
class Amcheck:
    """Where the extension is, and whether it can check heaps: before PostgreSQL 14 it couldn't.

    A server that was upgraded has the old version of it until somebody says ALTER EXTENSION amcheck UPDATE.
    """

    schema: str
    heaps: bool


def amcheck(connection: Connection, *, install: bool) -> Amcheck:
    """Find the extension amcheck; creates it where that is allowed and possible.

    Raises:
        Misconfigured: it is missing, and can't be created here.

    """
    for _ in range(2):
        row = connection.execute(
            "SELECT n.nspname AS schema, EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = n.oid "
            "AND p.proname = 'verify_heapam') AS heaps "
            "FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'amcheck'"
        ).fetchone()
        if row is not None:
            return Amcheck(str(row["schema"]), heaps=row["heaps"])
        if not install:
            break
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
        except psycopg.errors.ReadOnlySqlTransaction:
            break
    raise Misconfigured(
        "the extension amcheck is missing, and can't be created on this server: CREATE EXTENSION amcheck on the primary"
    )


def relations(connection: Connection) -> list[Relation]:
    """List what is to be checked, in the order of its OIDs."""
    return [Relation(row["oid"], row["name"], row["kind"]) for row in connection.execute(_RELATIONS)]


def check(connection: Connection, by: Amcheck, relation: Relation, *, all_rows_indexed: bool) -> list[Damage]:
    """Check one relation; one that has been dropped meanwhile is fine."""
    schema = by.schema
    try:
        if relation.kind == "index":
            query = sql.SQL("SELECT {}(%s::oid::regclass, %s)").format(sql.Identifier(schema, "bt_index_check"))
            connection.execute(query, (relation.oid, all_rows_indexed))
            return []
        if not by.heaps:
            _read(connection, relation)
            return []
        query = sql.SQL("SELECT blkno, msg FROM {}(%s::oid::regclass)").format(sql.Identifier(schema, "verify_heapam"))
        found = connection.execute(query, (relation.oid,)).fetchall()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject):
        return []
    except psycopg.Error as error:
        return [Damage(name=relation.name, kind=relation.kind, what=damage(error))]
    shown = [
        Damage(name=relation.name, kind=relation.kind, what=f"block {row['blkno']}: {row['msg']}"[:_CHARACTERS])
        for row in found[:_SHOWN]
    ]
    if more := len(found) - len(shown):
        shown.append(Damage(name=relation.name, kind=relation.kind, what=f"{more} more"))
    return shown


def _read(connection: Connection, relation: Relation) -> None:
    """Read every row of a table with all that it has in its TOAST table, which meets what is damaged.

    A TOAST table itself is read with the table it belongs to.
    """
    if relation.kind == "table":
        # Not only counted: to write a row as text, each of its values must be there and whole.
        rows = sql.SQL("SELECT count(whole::text) FROM ONLY {} AS whole")
        named = connection.execute("SELECT %s::oid::regclass::text AS name", (relation.oid,)).fetchone()
        if named is not None:
            connection.execute(rows.format(sql.SQL(named["name"])))


def damage(error: "psycopg.Error") -> str:
    """Say what is damaged.

    Raises:
        psycopg.Error: it is none: the server is gone, the statement was cancelled, a lock was in the way.

    """
    state = error.sqlstate or ""
    if not state.startswith(_DAMAGE):
        raise error
    # Only these classes' texts are known to have no row's data in them.
    return (error.diag.message_primary or type(error).__name__)[:_CHARACTERS]


def catalogue(connection: Connection) -> list[Damage]:
    """Try what the catalogue should keep."""
    found = []
    for name, query in _CATALOGUE.items():
        try:
            row = connection.execute(query).fetchone()
        except psycopg.errors.InsufficientPrivilege:
            continue  # a managed server's administrator sees no files
        except psycopg.Error as error:
            found.append(Damage(name=name, kind="catalogue", what=damage(error)))
            continue
        if row is not None and row["broken"]:
            found.append(Damage(name=name, kind="catalogue", what=f"not so for {row['broken']}"))
    return found


def checksum_failures(connection: Connection) -> int | None:
    """Tell how many pages had a wrong checksum, in this database and in what all databases share."""
    row = connection.execute(
        "SELECT sum(checksum_failures)::bigint AS failures FROM pg_stat_database "
        "WHERE datname = current_database() OR datid = 0"
    ).fetchone()
    return None if row is None else row["failures"]
