"""A database of the test's own, what others do in it, and the activities on it."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from pydantic import SecretStr
from temporalio import activity
from temporalio.testing import ActivityEnvironment

from activities.common.effects import Effect
from activities.database.servers.servers import Database, Databases, Server
from activities.database.upkeep.postgres import Postgres, ReindexIndex, VacuumTable
from activities.database.upkeep.work import session_name
from tests.activities.kubernetes.on_cluster import eventually

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")

AT = {"database": "tensafe", "server": "primary"}
LONG = timedelta(minutes=1)


def databases(**urls: str) -> Databases:
    """Settings that know the database `tensafe` with these servers."""
    servers = {name: Server(name, SecretStr(url)) for name, url in urls.items()}
    return Databases({"tensafe": Database("tensafe", servers)})


def an_effect(step: str = "", *, dry_run: bool = False) -> Effect:
    key = f"run/{secrets.token_hex(4)}/{step or 'step'}"
    return Effect(key=key, workflow_id="run", run_id="1", actor="ada", dry_run=dry_run)


@dataclass
class OnPostgres:
    """The table `items` with 1,000 rows and an index on its `name`, which autovacuum leaves alone."""

    url: str
    stack: ExitStack
    beats: list[str] = field(default_factory=list)
    environments: list[ActivityEnvironment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.postgres = Postgres(databases(primary=self.url))
        self.sql = self.connect("test")
        self.sql.execute(
            "CREATE TABLE items (id bigint PRIMARY KEY, name text) WITH (autovacuum_enabled = false); "
            "CREATE INDEX items_name ON items (name); "
            "INSERT INTO items SELECT n, 'name ' || n FROM generate_series(1, 1000) n"
        )
        self.flush()
        self.sql.execute("ANALYZE items")

    def flush(self) -> None:
        """Have the statistics of what was done before written; before PostgreSQL 15 that takes half a second."""
        if self.sql.info.server_version >= 150_000:
            self.sql.execute("SELECT pg_stat_force_next_flush()")

    def connect(self, application: str, *, url: str = "", transaction: bool = False) -> psycopg.Connection[Any]:
        """Be somebody else; closed with the test."""
        connection = psycopg.connect(url or self.url, autocommit=not transaction, application_name=application)
        return self.stack.enter_context(_closing(connection))

    def role(self, *, superuser: bool = False) -> str:
        """Give the URL of a user of the database."""
        name, password = f"user_{secrets.token_hex(4)}", secrets.token_hex(8)
        create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(
            sql.Identifier(name), password, sql.SQL("SUPERUSER" if superuser else "IN ROLE pg_write_all_data")
        )
        self.sql.execute(create)
        self.sql.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(sql.Identifier(name)))
        self.stack.callback(self._drop, name)
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))

    def _drop(self, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))

    # -- activities ----------------------------------------------------------------------------------------

    def run(
        self,
        method: Callable[[_Request], _Answer],
        request: _Request,
        *,
        attempt: int = 1,
        beats: list[Any] | None = None,
    ) -> _Answer:
        """Run an activity as a worker does."""
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=attempt, heartbeat_details=beats or [])
        environment.on_heartbeat = lambda progress: self.beats.append(progress.get("doing", ""))
        self.environments.append(environment)
        return environment.run(method, request)

    def cancel(self, **details: bool) -> None:
        """Cancel what runs last; without details as a workflow does."""
        asked = activity.ActivityCancellationDetails(**details or {"cancel_requested": True})
        self.environments[-1].cancel(asked)

    def vacuum(self, effect: Effect | None = None, **fields: Any) -> VacuumTable:
        given = {**AT, "table_schema": "public", "table": "items", "since": self.now, "within": LONG, **fields}
        return VacuumTable(**given, effect=effect or an_effect("vacuum"))

    def reindex(self, effect: Effect | None = None, **fields: Any) -> ReindexIndex:
        given = {**AT, "index_schema": "public", "index": "items_name", "oid": self.oid(), "within": LONG, **fields}
        return ReindexIndex(**given, effect=effect or an_effect("reindex"))

    # -- what is there ---------------------------------------------------------------------------------------

    def one(self, query: str, *values: Any) -> Any:
        row = self.sql.execute(query, values).fetchone()
        return row[0] if row else None

    @property
    def now(self) -> datetime:
        found: datetime = self.one("SELECT clock_timestamp()")
        return found

    @property
    def vacuums(self) -> int:
        return int(self.one("SELECT vacuum_count FROM pg_stat_user_tables WHERE relname = 'items'"))

    def oid(self, name: str = "items_name") -> int:
        return int(self.one("SELECT to_regclass(%s)::oid::bigint", name) or 0)

    @property
    def indexes(self) -> dict[str, bool]:
        """The indexes of `items`, and whether they are valid."""
        return dict(
            self.sql.execute(
                "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
                "WHERE i.indrelid = 'items'::regclass ORDER BY 1"
            ).fetchall()
        )

    def at_work(self, effect: Effect) -> list[int]:
        """Give the backends that do an effect's statement."""
        found = self.sql.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND state = 'active'",
            (session_name(effect.key),),
        )
        return [pid for (pid,) in found]

    def wait_at_work(self, effect: Effect, *, but: int = 0) -> int:
        """Wait until an effect's statement waits for somebody, in another backend than `but`; give its backend."""
        found = list[int]()

        def seen() -> bool:
            # One look: a backend that is there now may be gone at the next.
            query = (
                "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND state = 'active' "
                "AND wait_event_type = 'Lock' AND pid <> %s"
            )
            found[:] = [pid for (pid,) in self.sql.execute(query, (session_name(effect.key), but))]
            return bool(found)

        eventually(seen)
        return found[0]

    # -- what others do ----------------------------------------------------------------------------------------

    @contextmanager
    def held(self, statement: str = "LOCK items IN SHARE UPDATE EXCLUSIVE MODE") -> Iterator[psycopg.Connection[Any]]:
        """Be in a transaction that others wait for; it ends afterwards."""
        with _closing(psycopg.connect(self.url, application_name="somebody")) as connection:
            connection.execute(statement)
            yield connection

    def delete(self, rows: int) -> None:
        self.sql.execute("DELETE FROM items WHERE id <= %s", (rows,))
        self.flush()


WRITER = "INSERT INTO items VALUES (0, 'being written')"
"""REINDEX CONCURRENTLY waits for it before it builds: `_ccnew` is there already."""

READER = "SELECT count(*) FROM items"
"""REINDEX CONCURRENTLY waits for it after the new index has taken the old one's name: `_ccold` is there still."""


@contextmanager
def _closing(connection: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    try:
        yield connection
    finally:
        connection.close()
