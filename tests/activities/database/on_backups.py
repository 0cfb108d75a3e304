"""Backups of a real service database, called as a worker calls them, and looked at from outside."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import psycopg
from psycopg_pool import ConnectionPool
from temporalio.testing import ActivityEnvironment

from activities.common.effects import Effect
from activities.database.backups.backups import Backups, FollowPrimary, ReachRequest, Restored, Sealed, SealLog
from activities.database.backups.restoring import RestoreBackup
from activities.database.backups.system import Reach
from activities.database.servers.hosts import DatabaseHosts
from sandbox.service_database import NAME, PRIMARY, ServiceDatabase
from workers.databases import databases
from workers.settings import Settings


def an_effect(*, dry_run: bool = False) -> Effect:
    return Effect(key=f"restore/{uuid4()}/step", workflow_id="restore", run_id="r", actor="ada", dry_run=dry_run)


@dataclass
class OnBackups:
    """`tensafe` with a backup of it, and rows of which the time of each is known."""

    server: ServiceDatabase
    pool: ConnectionPool[Any]
    backup_id: str = ""
    times: list[datetime] = field(default_factory=list)
    """After row N was committed, and before row N + 1."""

    def __post_init__(self) -> None:
        settings = Settings(databases={NAME: self.server.settings()})
        made = databases(settings, lambda: None)
        self.databases = made.databases
        self.backups = Backups(made.databases, made.hosts, made.backups, self.pool)
        self.hosts = DatabaseHosts(made.databases, made.hosts)

    def do(self, method: Callable[[Any], Any], request: Any) -> Any:
        return ActivityEnvironment().run(method, request)

    @contextlib.contextmanager
    def connect(self, server: str = PRIMARY) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.server.url(server), autocommit=True) as connection:
            yield connection

    def insert(self, number: int, server: str = PRIMARY) -> None:
        """Add rows, each in a transaction of its own; the table is made where it isn't there."""
        with self.connect(server) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS marks (id integer PRIMARY KEY)")
            for _ in range(number):
                connection.execute("INSERT INTO marks VALUES (%s)", (len(self.times),))
                row = connection.execute("SELECT clock_timestamp()").fetchone()
                assert row is not None
                self.times.append(row[0])

    def rows(self, server: str) -> list[int]:
        with self.connect(server) as connection:
            return [row[0] for row in connection.execute("SELECT id FROM marks ORDER BY id").fetchall()]

    def seal(self, server: str = PRIMARY) -> Sealed:
        sealed: Sealed = self.do(self.backups.seal, SealLog(database=NAME, server=server, effect=an_effect()))
        return sealed

    def reach(self, target: datetime, backup_id: str | None = None) -> Reach:
        request = ReachRequest(database=NAME, backup_id=backup_id or self.backup_id, target=target)
        reach: Reach = self.do(self.backups.reach, request)
        return reach

    def to_restore(self, target: datetime, into: str = "spare-1", **more: Any) -> RestoreBackup:
        values: dict[str, Any] = {"backup_id": self.backup_id, "effect": an_effect(), **more}
        return RestoreBackup(database=NAME, target=target, into=into, **values)

    def restore(self, target: datetime, into: str = "spare-1", **more: Any) -> Restored:
        restored: Restored = self.do(self.backups.restore, self.to_restore(target, into, **more))
        return restored

    def follow(self, server: str) -> None:
        self.do(self.backups.follow, FollowPrimary(database=NAME, server=server, effect=an_effect()))
