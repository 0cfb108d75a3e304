"""Nobody writes to a database, kept by the database itself: real sessions on the oldest and the newest PostgreSQL."""

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from activities.common.effects import Effect
from activities.common.errors import Refused
from activities.database.upkeep.writers import (
    AreWritersStopped,
    LetWritersIn,
    StopWriters,
    Writers,
    WritersStopped,
)
from sandbox.postgres import Postgres
from tests.activities.database.on_postgres import AT, OnPostgres, an_effect, databases

# Which server it is, is only asked for while a test runs.
pytestmark = pytest.mark.servers


@pytest.fixture(params=["oldest", "newest"])
def on(request: pytest.FixtureRequest) -> Iterator[OnPostgres]:
    if request.param == "oldest":
        server: Postgres = request.getfixturevalue("oldest_postgres")
        url = server.create_database(f"test_{secrets.token_hex(4)}")
    else:
        url = request.getfixturevalue("empty_database_url")
    with ExitStack() as stack:
        yield OnPostgres(url, stack)


def a_role(on: OnPostgres, *, superuser: bool = False) -> str:
    """Give the URL of somebody who may write `items`."""
    name, password = f"user_{secrets.token_hex(4)}", secrets.token_hex(8)
    made, kind = sql.Identifier(name), sql.SQL("SUPERUSER" if superuser else "")
    on.sql.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(made, password, kind))
    on.sql.execute(sql.SQL("GRANT SELECT, INSERT ON items TO {}").format(made))
    on.stack.callback(_drop, on.url, made)
    parts = urlsplit(on.url)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"))


def _drop(url: str, role: sql.Identifier) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def by(run: str, step: str = "stop", *, dry_run: bool = False) -> Effect:
    return Effect(key=f"{run}/1/{step}", workflow_id=run, run_id="1", actor="ada", dry_run=dry_run)


def writers(on: OnPostgres) -> Writers:
    return Writers(databases(primary=on.url))


def stop(on: OnPostgres, effect: Effect, **fields: Any) -> WritersStopped:
    given = {"until": datetime.now(UTC) + timedelta(hours=1), "leave_within": timedelta(0), **fields}
    return on.run(writers(on).stop, StopWriters(**AT, effect=effect, **given))


def let_in(on: OnPostgres, effect: Effect, **fields: Any) -> bool:
    return on.run(writers(on).let_in, LetWritersIn(**AT, effect=effect, **fields)).applied


def grants(on: OnPostgres) -> set[tuple[str, bool]]:
    query = (
        "SELECT coalesce(r.rolname, 'PUBLIC'), e.is_grantable FROM pg_database d, "
        "aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) e LEFT JOIN pg_roles r ON r.oid = e.grantee "
        "WHERE d.datname = current_database() AND e.privilege_type = 'CONNECT'"
    )
    return set(on.sql.execute(query.encode()).fetchall())


def can_connect(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as error:
        assert "permission denied for database" in str(error)  # noqa: PT017
        return False
    return True


class NeverStops:
    """A cron job that writes as the service, comes again whenever it is thrown out, and counts what was committed."""

    def __init__(self, on: OnPostgres, url: str) -> None:
        self.url = url
        self.committed = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        on.stack.callback(self.stop)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()

    def _write(self) -> None:
        number = 10_000
        while not self._end.is_set():
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self.url, autocommit=True, connect_timeout=2) as connection,
            ):
                while not self._end.is_set():
                    number += 1
                    connection.execute("INSERT INTO items VALUES (%s, 'more')", (number,))
                    self.committed += 1

    def goes_on(self) -> None:
        seen, until = self.committed, time.monotonic() + 120
        while self.committed == seen:
            assert time.monotonic() < until, "nothing is written"
            time.sleep(0.01)


def rows(on: OnPostgres) -> int:
    return int(on.one("SELECT count(*) FROM items"))


def test_a_writer_that_never_stops_trying_commits_nothing_until_it_is_let_in(on: OnPostgres) -> None:
    before = grants(on)
    cron, person = NeverStops(on, a_role(on)), a_role(on)
    cron.goes_on()
    done = stop(on, by("restore"))
    there = rows(on)
    assert done.applied
    assert done.ended
    assert not can_connect(person)
    time.sleep(1)
    assert rows(on) == there
    assert cron.committed <= there - 1000, "what it was told is committed was there by then"
    assert not stop(on, by("restore")).applied
    assert let_in(on, by("restore", "let"))
    assert grants(on) == before
    cron.goes_on()
    assert can_connect(person)
    assert not let_in(on, by("restore", "let"))


def test_who_had_rights_of_their_own_has_them_back_and_readers_stay(on: OnPostgres) -> None:
    granted, reader = a_role(on), a_role(on)
    name, database = urlsplit(granted).username, on.sql.info.dbname
    on.sql.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))
    on.sql.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {} WITH GRANT OPTION").format(
            sql.Identifier(database), sql.Identifier(str(name))
        )
    )
    on.sql.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
            sql.Identifier(database), sql.Identifier(str(urlsplit(reader).username))
        )
    )
    before = grants(on)
    stop(on, by("restore"), readers=(str(urlsplit(reader).username),))
    assert not can_connect(granted)
    assert can_connect(reader)
    assert let_in(on, by("restore", "let"))
    assert grants(on) == before
    assert can_connect(granted)


def test_named_roles_alone_and_who_may_write_all_the_same_is_named(on: OnPostgres) -> None:
    before = grants(on)
    service, other, chief = a_role(on), a_role(on), a_role(on, superuser=True)
    name = str(urlsplit(service).username)
    done = stop(on, by("restore"), roles=(name,))
    assert not can_connect(service)
    assert can_connect(other)
    told = "\n".join(done.may_write)
    assert str(urlsplit(other).username) in told
    assert f"{urlsplit(chief).username}" in told
    assert name not in told
    assert let_in(on, by("restore", "let"))
    assert grants(on) == before


def test_whom_a_person_lets_in_meanwhile_is_seen_and_stays(on: OnPostgres) -> None:
    service = a_role(on)
    name = str(urlsplit(service).username)
    stop(on, by("restore"))
    on.sql.execute(
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(on.sql.info.dbname), sql.Identifier(name))
    )
    seen = on.run(writers(on).look, AreWritersStopped(**AT, run="restore"))
    assert (seen.by_this_run, seen.let_in) == (True, [name])
    assert let_in(on, by("restore", "let"))
    assert {(name, False), ("PUBLIC", False)} <= grants(on)


def test_of_two_runs_one_is_refused_and_a_terminated_ones_stop_expires(on: OnPostgres) -> None:
    before = grants(on)
    service = a_role(on)
    stop(on, by("first"), until=datetime.now(UTC) + timedelta(minutes=5))
    assert "first has stopped the writers" in stop(on, by("second")).refused
    assert not let_in(on, by("second", "let"))
    assert let_in(on, by("first", "let"))
    stop(on, by("gone"), until=datetime.now(UTC) - timedelta(minutes=11))
    assert not can_connect(service)
    assert stop(on, by("third")).refused == ""
    assert let_in(on, by("third", "let"))
    assert grants(on) == before
    assert can_connect(service)


def test_an_attempt_that_comes_back_after_all_is_over_stops_nobody(on: OnPostgres) -> None:
    service, effect = a_role(on), by("restore")
    stop(on, effect)
    let_in(on, by("restore", "let"))
    with pytest.raises(Refused, match="let in again"):
        stop(on, effect)
    assert can_connect(service)


def test_a_copy_of_a_time_at_which_writers_were_stopped_is_opened(on: OnPostgres) -> None:
    """What was restored brings the stop along that was in force at its time, of whatever run."""
    service = a_role(on)
    stop(on, by("long ago"))
    assert not let_in(on, by("restore", "let"))
    assert let_in(on, by("restore", "let"), anybodys=True)
    assert can_connect(service)


def test_a_plan_takes_nothing(on: OnPostgres) -> None:
    service = a_role(on)
    planned = stop(on, by("restore", dry_run=True))
    assert str(urlsplit(service).username) in planned.after
    assert not planned.applied
    assert can_connect(service)
    stop(on, an_effect("real"))
    assert not can_connect(service)
    assert not let_in(on, Effect(key="x", workflow_id="run", run_id="1", actor="ada", dry_run=True))
    assert not can_connect(service)
