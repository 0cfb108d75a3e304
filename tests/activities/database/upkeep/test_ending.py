"""The service's sessions at a real PostgreSQL: waited for, ended where they stay, and nobody else's touched."""

import threading
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from pydantic import SecretStr
from temporalio.testing import ActivityEnvironment

from activities.database.servers.servers import Database, Databases, Server
from activities.database.upkeep.ending import EndSessions, Sessions, SessionsEnded
from sandbox.postgres import Postgres
from tests.activities.database.damaged_database import NAME, SERVER, DamagedDatabase, postgres  # noqa: F401
from tests.activities.kubernetes.on_cluster import an_effect

pytestmark = pytest.mark.servers


@pytest.fixture
def database(postgres: Postgres) -> DamagedDatabase:  # noqa: F811
    made = DamagedDatabase(postgres)
    for role in ("service", "reports"):
        made.run(f"DROP ROLE IF EXISTS {role}", f"CREATE ROLE {role} LOGIN PASSWORD 'sesame'")
    return made


def session(database: DamagedDatabase, role: str) -> psycopg.Connection[Any]:
    parts = urlsplit(database.url)
    url = urlunsplit(parts._replace(netloc=f"{role}:sesame@{parts.hostname}:{parts.port}"))
    return psycopg.connect(url, autocommit=True)


def end(
    database: DamagedDatabase, *, dry_run: bool = False, at: Databases | None = None, **fields: object
) -> SessionsEnded:
    request = EndSessions.model_validate(
        {
            "database": NAME,
            "server": SERVER,
            "leave_within": timedelta(seconds=1),
            **fields,
            "effect": an_effect(dry_run=dry_run),
        }
    )
    return ActivityEnvironment().run(Sessions(at or database.databases).end, request)


def alive(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_sessions_that_leave_in_time_are_not_ended(database: DamagedDatabase) -> None:
    leaving = session(database, "service")
    threading.Timer(0.5, leaving.close).start()
    began = time.monotonic()
    assert end(database, leave_within=timedelta(minutes=4)).ended == 0
    assert 0.4 < time.monotonic() - began < 120


def test_sessions_that_stay_are_ended_and_superusers_are_not(database: DamagedDatabase) -> None:
    with (
        psycopg.connect(database.url) as ours,
        session(database, "service") as one,
        session(database, "reports") as two,
    ):
        assert end(database).ended == 2
        assert alive(ours)
        assert not alive(one)
        assert not alive(two)


def test_only_the_named_roles_sessions_are_ended(database: DamagedDatabase) -> None:
    with session(database, "service") as one, session(database, "reports") as two:
        assert end(database, roles=("service",)).ended == 1
        assert not alive(one)
        assert alive(two)


def test_an_administrator_who_may_not_see_what_they_do_ends_them_too(database: DamagedDatabase) -> None:
    database.run("DROP ROLE IF EXISTS keeper", "CREATE ROLE keeper LOGIN PASSWORD 'sesame' IN ROLE pg_signal_backend")
    parts = urlsplit(database.url)
    url = urlunsplit(parts._replace(netloc=f"keeper:sesame@{parts.hostname}:{parts.port}"))
    keeper = Databases({NAME: Database(NAME, {SERVER: Server(SERVER, SecretStr(url))})})
    with session(database, "service") as one:
        assert end(database, at=keeper, roles=("service",)).ended == 1
        assert not alive(one)


def test_a_plan_only_counts(database: DamagedDatabase) -> None:
    with session(database, "service") as one:
        planned = end(database, dry_run=True)
        assert planned.after == "1 session to leave"
        assert not planned.applied
        assert alive(one)
