"""What the activities ask of PostgreSQL, asked of the oldest version that is supported: 13."""

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

import records_schema
from activities.catalogue.database import MaintenancePolicy
from activities.common.errors import Misconfigured
from activities.database.integrity.contents import ContentsRequest
from activities.database.integrity.integrity import Integrity, IntegrityRequest
from activities.database.replication import changes, replica_progress
from activities.database.servers import versions
from activities.database.servers.servers import OnServer
from activities.database.upkeep.ending import EndSession
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest
from activities.database.upkeep.sessions import QueriesRequest
from records_schema import server as records_server
from sandbox.postgres import Postgres
from sandbox.toolchain.older_postgres import oldest
from tests.activities.database.damaged_database import DamagedDatabase
from tests.activities.database.on_postgres import AT, WRITER, OnPostgres, an_effect, databases
from tests.activities.kubernetes.on_cluster import eventually
from tests.activities.releases.on_helm import Background

POLICY = MaintenancePolicy(dead_rows=100, changed_rows=100, index_size=100_000, holds_back=timedelta(milliseconds=1))


@pytest.fixture
def on(oldest_postgres: Postgres) -> Iterator[OnPostgres]:
    with ExitStack() as stack:
        yield OnPostgres(oldest_postgres.create_database(f"test_{secrets.token_hex(4)}"), stack)


def health(on: OnPostgres) -> DatabaseHealth:
    return on.run(on.postgres.health, DatabaseHealthRequest(**AT, policy=POLICY))


def test_health(on: OnPostgres) -> None:
    assert on.sql.info.server_version // 10_000 == 13
    on.sql.execute("CREATE EXTENSION pgstattuple; SELECT pg_create_physical_replication_slot('left', true)")
    try:
        found = health(on)
        assert found.version.startswith("13.")
        assert found.connections_limit == 197
        assert [slot.name for slot in found.slots] == ["left"]
    finally:
        on.sql.execute("SELECT pg_drop_replication_slot('left')")


def test_vacuum_reindex_and_what_a_crash_left(on: OnPostgres) -> None:
    on.delete(400)

    def told() -> bool:
        on.sql.execute("SELECT 1")  # before PostgreSQL 15, a session tells its statistics at a statement's end
        return [(table.name, table.dead) for table in health(on).tables] == [("items", 400)]

    eventually(told)
    assert on.run(on.postgres.vacuum, on.vacuum()).applied
    with on.held(WRITER):
        other = on.connect("other")
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute("REINDEX INDEX CONCURRENTLY items_name")
    before = on.oid()
    on.run(on.postgres.reindex, on.reindex())
    assert on.oid() != before
    assert on.indexes == {"items_name": True, "items_pkey": True}


def test_who_works_and_who_waits_is_seen_and_ended(on: OnPostgres) -> None:
    with on.held("LOCK items"):
        waits = on.connect("waits")
        waiting = Background(lambda: waits.execute("SELECT count(*) FROM items"))
        request = QueriesRequest(**AT, min_duration=timedelta(milliseconds=1))
        eventually(lambda: on.run(on.postgres.queries, request).items[0].blocks == 1)
        found = on.run(on.postgres.queries, request)
        session = next(session for session in found.items if session.blocked_by)
        end = EndSession(
            **AT,
            pid=session.pid,
            backend_start=session.backend_start,
            xact_start=session.xact_start,
            query_start=session.query_start,
            active=True,
            named=True,
            cancel_within=timedelta(seconds=5),
            effect=an_effect(),
        )
        assert on.run(on.postgres.end_session, end).how == "cancelled"
        with pytest.raises(psycopg.errors.QueryCanceled):
            waiting.end()


def test_damage_is_found_where_amcheck_knows_indexes_only(oldest_postgres: Postgres) -> None:
    damaged = DamagedDatabase(oldest_postgres)
    damaged.run(
        "CREATE TABLE orders (id int PRIMARY KEY, note text)",
        "CREATE TABLE documents (id int PRIMARY KEY, body text)",
        'CREATE TABLE sound (id int PRIMARY KEY, "Body" text)',
        "INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, 2000) n",
        "INSERT INTO documents SELECT n, (SELECT string_agg(md5((n * i)::text), '') FROM generate_series(1, 300) i) "
        "FROM generate_series(1, 20) n",
        "INSERT INTO sound SELECT * FROM documents",
        "CHECKPOINT",
    )
    request = IntegrityRequest(database="tensafe", server="primary", within=timedelta(minutes=1))
    integrity = Integrity(damaged.databases)
    with ExitStack() as stack:
        on = OnPostgres(damaged.url, stack)
        sound = on.run(integrity.check, request)
        assert (sound.good, sound.complete) == (True, True)
        toast = damaged.file("(SELECT reltoastrelid FROM pg_class WHERE relname = 'documents')")
        damaged.damage((damaged.file("'orders'"), 3), (toast, 1), (damaged.file("'documents_pkey'"), 1))
        report = on.run(integrity.check, request)
        assert {(damage.kind, damage.name) for damage in report.damaged} >= {
            ("table", "orders"),
            ("table", "documents"),
            ("index", "documents_pkey"),
        }
        assert not any("sound" in damage.name for damage in report.damaged)
        contents = on.run(integrity.contents, ContentsRequest(**AT, within=timedelta(minutes=1)))
        assert contents.tables["public.sound"] == 20


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A primary and its standby, both of 13: the primary's data, copied while it was down. Gives their URLs."""
    primary, standby = Postgres(tmp_path / "primary", oldest()), Postgres(tmp_path / "standby", oldest())
    with ExitStack() as stack:
        for server in (primary, standby):
            stack.callback(server.remove)
            server.start()
            server.wait_ready()
            server.processes[0].stop()
        shutil.rmtree(standby.data)
        subprocess.run(["cp", "-a", primary.data, standby.data], check=True)
        with (standby.data / "postgresql.auto.conf").open("a") as settings:
            settings.write(f"primary_conninfo = '{primary.url()}'\n")
        (standby.data / "standby.signal").touch()
        primary.restart()
        standby.processes[0].start()
        url = primary.url().replace(f":{primary.port}/", f":{standby.port}/")
        eventually(lambda: answers(url))
        yield primary.url(), url


def answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
        return True
    return False


@pytest.mark.servers
def test_the_standing_of_a_replica_that_is_paused_and_its_promotion(pair: tuple[str, str]) -> None:
    on = databases(primary=pair[0], replica=pair[1])
    with on.connect(OnServer(database="tensafe", server="replica")) as standby:
        eventually(lambda: replica_progress.read(standby, {}).streaming)
        assert not replica_progress.read(standby, {}).paused
        standby.execute("SELECT pg_wal_replay_pause()")
        assert replica_progress.read(standby, {}).paused
        changes.promote(standby, timedelta(seconds=30))
        assert changes.written(standby, "effect").timeline == 2
        assert not replica_progress.read(standby, {}).in_recovery


def test_the_records_can_be_kept_there(oldest_postgres: Postgres) -> None:
    url = oldest_postgres.create_database(f"records_{secrets.token_hex(4)}")
    assert records_schema.migrate(url)
    assert not records_schema.status(url).pending


def test_an_older_one_is_refused_in_a_sentence(on: OnPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "OLDEST", 140_000)
    with pytest.raises(Misconfigured, match=r"tensafe/primary is PostgreSQL 13\.16: runs know 13 to 18"):
        health(on)
    monkeypatch.setattr(records_server, "OLDEST", 140_000)
    with pytest.raises(records_schema.DatabaseError, match=r"is version 13\.16: 13 is the oldest that is known"):
        records_schema.migrate(on.url)
