"""Long queries, who waits for whom, and how they are ended: real sessions on real PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from activities.catalogue.database import MaintenancePolicy
from activities.common.errors import Refused
from activities.database.upkeep.ending import Ended, EndSession
from activities.database.upkeep.health import DatabaseHealthRequest, measure
from activities.database.upkeep.postgres import Postgres
from activities.database.upkeep.sessions import QueriesRequest, RunningQueries, RunningSession, running
from activities.database.upkeep.work import session_name
from tests.activities.database.on_postgres import AT, OnPostgres, an_effect, databases
from tests.activities.kubernetes.on_cluster import eventually
from tests.activities.releases.on_helm import Background

SLEEP = "SELECT pg_sleep(600)"
SECRET = "SELECT pg_sleep(600) /* 'card 4111' */ WHERE 'ada@acme.example' <> 'x' AND 4111 > 0"
MS = timedelta(milliseconds=1)


@pytest.fixture
def on(empty_database_url: str) -> Iterator[OnPostgres]:
    with ExitStack() as stack:
        yield OnPostgres(empty_database_url, stack)


class Someone:
    """A user's session in the middle of something."""

    def __init__(self, on: OnPostgres, application: str = "report", *, superuser: bool = False) -> None:
        self.on = on
        self.connection = on.connect(application, url=on.role(superuser=superuser), transaction=True)
        self.pid = self.connection.info.backend_pid
        self.running: Background | None = None
        on.stack.callback(self.leave)

    def leave(self) -> None:
        """Come to an end, before the socket is closed that a thread may be reading from."""
        self.on.sql.execute("SELECT pg_terminate_backend(%s)", (self.pid,))
        if self.running is not None:
            self.running.join()

    def runs(self, query: str) -> "Someone":
        self.running = Background(lambda: self.connection.execute(query))
        self.on_server("active")
        return self

    def idles(self, query: str = "SELECT 1") -> "Someone":
        self.connection.execute(query)
        self.on_server("idle in transaction")
        return self

    def on_server(self, state: str) -> None:
        state_of = "SELECT state FROM pg_stat_activity WHERE pid = %s"
        eventually(lambda: self.on.one(state_of, self.pid) == state)

    def waits(self) -> "Someone":
        waiting = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
        eventually(lambda: self.on.one(waiting, self.pid))
        return self


def seen(on: OnPostgres, *named: int, min_duration: timedelta = MS) -> RunningQueries:
    request = QueriesRequest(**AT, min_duration=min_duration, named=list(named))
    return on.run(on.postgres.queries, request)


def end(on: OnPostgres, session: RunningSession, **fields: Any) -> Ended:
    request = EndSession(
        **AT,
        pid=session.pid,
        backend_start=session.backend_start,
        xact_start=session.xact_start,
        query_start=session.query_start,
        active=session.state == "active",
        named=session.named,
        **{"cancel_within": timedelta(minutes=1), "effect": an_effect("end"), **fields},
    )
    return on.run(on.postgres.end_session, request)


# -- what is seen --------------------------------------------------------------------------------------------


def test_a_quiet_database(on: OnPostgres) -> None:
    found = seen(on)
    assert (found.items, str(found)) == ([], "nothing runs long, nobody waits")


def test_long_queries_without_the_data_in_them(on: OnPostgres) -> None:
    someone = Someone(on).runs(SECRET)
    (found,) = seen(on).items
    assert (found.pid, found.state, found.application, found.long) == (someone.pid, "active", "report", True)
    assert found.query == "SELECT pg_sleep(?) WHERE ? <> ? AND ? > ?"
    assert "4111" not in found.model_dump_json()
    assert "acme" not in found.model_dump_json()
    assert found.protected == ""
    assert seen(on, min_duration=timedelta(minutes=1)).items == []


def test_whose_role_does_not_track_activities_is_told_of(on: OnPostgres) -> None:
    quiet = [Someone(on, superuser=True) for _ in range(2)]
    for someone in quiet:
        someone.connection.execute("SET track_activities = off")
        someone.connection.execute("SELECT 1")
    found = seen(on, quiet[0].pid)
    users = sorted(str(on.one("SELECT usename FROM pg_stat_activity WHERE pid = %s", one.pid)) for one in quiet)
    assert found.unseen == [f"1 session of {user}: track_activities is off for it" for user in users]
    assert [(session.pid, session.named) for session in found.items] == [(quiet[0].pid, True)]
    assert "nothing runs long" in str(seen(on))
    assert "not seen: 1 session of " in str(seen(on))


def test_whom_our_role_may_not_see_are_told_of(on: OnPostgres) -> None:
    someone = Someone(on).runs(SLEEP)
    who = on.one("SELECT usename FROM pg_stat_activity WHERE pid = %s", someone.pid)
    with psycopg.connect(on.role(), row_factory=dict_row, autocommit=True) as ours:
        found = running(ours, QueriesRequest(**AT, min_duration=MS, named=[someone.pid]))
        health = measure(ours, DatabaseHealthRequest(**AT, policy=MaintenancePolicy()))
        user = ours.info.user
    assert (found.items, found.missing) == ([], [someone.pid])
    told = f"1 session of {who}: {user} may not see them (GRANT pg_read_all_stats TO {user})"
    assert told in found.unseen
    assert f"neither long queries nor what holds vacuum back is seen of {told}" in health.problems(MaintenancePolicy())
    assert health.connections >= 2  # theirs are taken, though they are not seen


def test_a_transaction_that_idles_is_long_too(on: OnPostgres) -> None:
    someone = Someone(on).idles()
    (found,) = seen(on).items
    assert (found.pid, found.state, found.long) == (someone.pid, "idle in transaction", True)


def test_who_waits_for_whom(on: OnPostgres) -> None:
    first = Someone(on, "first").idles("UPDATE items SET name = 'x' WHERE id IN (1, 2)")
    second = Someone(on, "second").idles("UPDATE items SET name = 'x' WHERE id = 3")
    second.runs("UPDATE items SET name = 'y' WHERE id = 1").waits()
    third = Someone(on, "third").runs("UPDATE items SET name = 'z' WHERE id = 3").waits()
    beside = Someone(on, "beside").runs("UPDATE items SET name = 'b' WHERE id = 2").waits()
    found = seen(on, min_duration=timedelta(hours=1))
    by = {session.pid: session for session in found.items}
    assert {pid: (session.blocked_by, session.blocks) for pid, session in by.items()} == {
        first.pid: ([], 3),
        second.pid: ([first.pid], 1),
        third.pid: ([second.pid], 0),
        beside.pid: ([first.pid], 0),
    }
    assert not any(session.long for session in found.items)
    assert [session.pid for session in found.to_end] == [first.pid, second.pid]
    lines = found.tree()
    depth = {pid: next(len(x) - len(x.lstrip()) for x in lines if x.lstrip().startswith(str(pid))) for pid in by}
    assert depth == {first.pid: 0, second.pid: 2, third.pid: 4, beside.pid: 2}
    assert lines[0].startswith(str(first.pid))
    assert "idle in transaction for 0:00:0" in lines[0]
    assert "blocks 3" in lines[0]


def test_those_who_wait_for_each_other_are_all_shown() -> None:
    at = {"backend_start": "2026-01-01T00:00:00Z", "state": "active", "user": "u", "seconds": 1, "query": "UPDATE"}
    items = [RunningSession(pid=pid, blocked_by=[3 - pid], **at) for pid in (1, 2)]
    assert [line.split()[0] for line in RunningQueries(items=items).tree()] == ["1", "2"]


def test_a_prepared_transaction_that_others_wait_for() -> None:
    session = RunningSession.model_validate(
        {
            "pid": 7,
            "backend_start": "2026-01-01T00:00:00Z",
            "state": "active",
            "user": "u",
            "seconds": 61,
            "query": "UPDATE",
            "blocked_by": [0, 0],
        }
    )
    assert str(session) == "7 u: query for 0:01:01, waits for a prepared transaction: UPDATE"


def test_named_sessions_are_listed_whatever_they_do(on: OnPostgres) -> None:
    someone = Someone(on).runs(SLEEP)
    found = seen(on, someone.pid, 1, min_duration=timedelta(hours=1))
    assert [(session.pid, session.named) for session in found.items] == [(someone.pid, True)]
    assert found.missing == [1]


# -- how they are ended ----------------------------------------------------------------------------------------


def test_a_query_is_cancelled_and_its_session_stays(on: OnPostgres) -> None:
    someone = Someone(on).runs(SLEEP)
    (found,) = seen(on).items
    change = end(on, found)
    assert (change.how, change.applied, change.after) == ("cancelled", True, "cancelled")
    assert someone.running is not None
    with pytest.raises(psycopg.errors.QueryCanceled):
        someone.running.end()
    assert not someone.connection.closed
    again = end(on, found)
    assert (again.how, again.applied) == ("gone", False)


def test_a_session_that_does_not_obey_is_terminated(on: OnPostgres) -> None:
    stubborn = "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN END; END LOOP; END $$"
    someone = Someone(on).runs(stubborn)
    # Before it sleeps it would still obey.
    asleep = "SELECT wait_event FROM pg_stat_activity WHERE pid = %s"
    eventually(lambda: on.one(asleep, someone.pid) == "PgSleep")
    (found,) = seen(on).items
    change = end(on, found, cancel_within=timedelta(milliseconds=300))
    assert (change.how, change.note) == ("terminated", "it did not obey within 0.3 s")
    assert someone.running is not None
    with pytest.raises(psycopg.OperationalError):
        someone.running.end()


def test_a_transaction_that_idles_is_ended_at_once(on: OnPostgres) -> None:
    someone = Someone(on).idles("UPDATE items SET name = 'x' WHERE id = 1")
    (found,) = seen(on).items
    assert end(on, found).how == "terminated"
    with pytest.raises(psycopg.OperationalError):
        someone.connection.execute("SELECT 1")


def test_who_waited_goes_on(on: OnPostgres) -> None:
    blocking = Someone(on).idles("UPDATE items SET name = 'x' WHERE id = 1")
    waiting = Someone(on).runs("UPDATE items SET name = 'y' WHERE id = 1").waits()
    (root,) = (session for session in seen(on).items if session.pid == blocking.pid)
    end(on, root)
    assert waiting.running is not None
    waiting.running.end()


@pytest.mark.parametrize("what", ["backend_start", "query_start", "xact_start"])
def test_another_than_was_seen_is_left_alone(on: OnPostgres, what: str) -> None:
    Someone(on).runs(SLEEP)
    (found,) = seen(on).items
    other = found.model_copy(update={what: getattr(found, what) - timedelta(microseconds=1)})
    change = end(on, other)
    assert (change.how, change.applied) == ("gone", False)
    assert [session.pid for session in seen(on).items] == [found.pid]


def test_the_next_query_of_a_session_is_not_the_one_that_was_seen(on: OnPostgres) -> None:
    on.sql.execute("SELECT pg_advisory_lock(1)")
    someone = Someone(on).runs("SELECT pg_advisory_lock(1)").waits()
    (found,) = (session for session in seen(on).items if session.pid == someone.pid)
    on.sql.execute("SELECT pg_advisory_unlock(1)")
    assert someone.running is not None
    someone.running.end()
    someone.runs(SLEEP)
    assert end(on, found).how == "gone"
    someone.on_server("active")


def test_a_superusers_session_is_ended_only_where_the_request_names_it(on: OnPostgres) -> None:
    someone = Someone(on, superuser=True).runs(SLEEP)
    (found,) = seen(on).items
    assert found.protected == "a superuser's: only where the request names it"
    assert seen(on).to_end == []
    with pytest.raises(Refused, match="superuser"):
        end(on, found)
    (named,) = seen(on, someone.pid).to_end
    assert end(on, named).how == "cancelled"


def test_our_own_sessions_are_never_ended(on: OnPostgres) -> None:
    someone = Someone(on, session_name("run/1/vacuum")).runs(SLEEP)
    (found,) = seen(on, someone.pid).items
    assert found.protected == "ours"
    with pytest.raises(Refused, match="ours"):
        end(on, found)


@pytest.mark.parametrize("kind", ["autovacuum worker", "walsender", "logical replication worker", "parallel worker"])
def test_background_processes_are_never_ended_even_where_named(kind: str) -> None:
    session = RunningSession(
        pid=1,
        backend_start="2026-01-01T00:00:00Z",
        state="active",
        user="u",
        seconds=1,
        query="",
        backend_type=kind,
        named=True,
    )
    assert session.protected == f"a {kind}: never ended by a run"


def test_a_walsender_is_refused(on: OnPostgres) -> None:
    name = on.one("SELECT current_database()")
    on.sql.execute("ALTER ROLE CURRENT_USER REPLICATION")
    with psycopg.connect(on.url + "?replication=database", autocommit=True) as sender:
        row = on.sql.execute(
            "SELECT backend_start, backend_type, datname FROM pg_stat_activity WHERE pid = %s",
            (sender.info.backend_pid,),
        ).fetchone()
        assert row is not None
        assert row[1:] == ("walsender", name)
        request = EndSession(
            **AT,
            pid=sender.info.backend_pid,
            backend_start=row[0],
            xact_start=None,
            query_start=None,
            active=False,
            named=True,
            cancel_within=timedelta(seconds=1),
            effect=an_effect(),
        )
        with pytest.raises(Refused, match="a walsender: never ended"):
            on.run(on.postgres.end_session, request)
        assert not sender.closed


def test_in_plan_mode_nobody_is_ended(on: OnPostgres) -> None:
    Someone(on).runs(SLEEP)
    (found,) = seen(on).items
    change = end(on, found, effect=an_effect(dry_run=True))
    assert (change.how, change.applied) == ("planned", False)
    assert len(seen(on).items) == 1


def test_other_databases_of_the_server_are_not_ours(on: OnPostgres, postgres_url: str) -> None:
    Someone(on).runs(SLEEP)
    beside = Postgres(databases(primary=postgres_url))
    assert beside.queries(QueriesRequest(**AT, min_duration=MS)).items == []
