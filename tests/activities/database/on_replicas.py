"""A service's database with its replicas, as the activities know it from settings."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.database.replication.replication import Replication
from activities.database.servers.command_hosts import CommandHosts
from activities.database.servers.servers import Database, Databases, Server
from sandbox.service_database import ServiceDatabase


class OnReplicas:
    """The database, and `Replication` on it; `urls` are others than the settings' for some servers."""

    def __init__(self, database: ServiceDatabase, **urls: str) -> None:
        self.database = database
        settings = database.settings()
        servers = {
            name: Server(name, SecretStr(urls.get(name.replace("-", "_"), server["url"])), server["directory"])
            for name, server in settings["servers"].items()
        }
        hosts = CommandHosts("tensafe", settings["commands"])
        self.databases = Databases({"tensafe": Database("tensafe", servers)})
        self.replication = Replication(self.databases, {"tensafe": hosts})

    def do(self, verb: str, **request: Any) -> Any:
        """Run an activity of `Replication` with the request that it takes."""
        method = getattr(self.replication, verb)
        model = next(kind for name, kind in method.__annotations__.items() if name == "request")
        return ActivityEnvironment().run(method, model(database="tensafe", **request))

    def sql(self, server: str, query: str) -> Any:
        """Ask a server as its administrator; gives the first value."""
        with psycopg.connect(self.database.url(server), autocommit=True) as connection:
            found = connection.execute(query.encode())
            row = found.fetchone() if found.description else None
            return row[0] if row else None

    def write(self, server: str, kind: str = "test") -> None:
        """Commit a row as the service does."""
        with psycopg.connect(self.database.service_url(server)) as connection:
            connection.execute("INSERT INTO events (kind) VALUES (%s)", (kind,))

    def count(self, server: str, kind: str = "test") -> int:
        return int(self.sql(server, f"SELECT count(*) FROM events WHERE kind = '{kind}'"))

    def second_replica(self, name: str = "spare-1") -> None:
        """Make a spare server another replica of the primary."""
        self.database.do("rejoin", name, "primary")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Insist on how long something takes."""
    begun = time.monotonic()
    yield
    took = time.monotonic() - begun
    assert took < seconds, f"took {took:.1f} s"
