"""Integrity checks on a real PostgreSQL whose files are damaged: all of it is found, and none of it ends the check."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.rows import dict_row
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.catalogue.database import MaintenancePolicy, SqlCheck
from activities.common.errors import Misconfigured, Unavailable
from activities.database.integrity.contents import Contents, ContentsRequest, difference
from activities.database.integrity.integrity import Integrity, IntegrityReport, IntegrityRequest
from activities.database.upkeep.health import DatabaseHealthRequest, measure
from sandbox.postgres import Postgres
from tests.activities.database.damaged_database import NAME, SERVER, DamagedDatabase, postgres  # noqa: F401
from tests.activities.kubernetes.on_cluster import eventually

AT = {"database": NAME, "server": SERVER}
MINUTE = timedelta(minutes=1)
ROWS = 2000


@pytest.fixture
def damaged(postgres: Postgres) -> DamagedDatabase:  # noqa: F811
    database = DamagedDatabase(postgres)
    database.run(
        "CREATE EXTENSION amcheck",
        "CREATE TABLE orders (id int PRIMARY KEY, note text)",
        "CREATE TABLE jobs (id int PRIMARY KEY)",
        "CREATE TABLE documents (id int PRIMARY KEY, body text)",
        f"INSERT INTO orders SELECT n, repeat('x', 100) FROM generate_series(1, {ROWS}) n",
        f"INSERT INTO jobs SELECT generate_series(1, {ROWS})",
        "INSERT INTO documents SELECT n, (SELECT string_agg(md5((n * i)::text), '') FROM generate_series(1, 300) i) "
        "FROM generate_series(1, 20) n",
        "CHECKPOINT",
    )
    return database


def check(
    damaged: DamagedDatabase, environment: ActivityEnvironment | None = None, **fields: object
) -> IntegrityReport:
    request = IntegrityRequest.model_validate({**AT, "within": MINUTE, **fields})
    return (environment or ActivityEnvironment()).run(Integrity(damaged.databases).check, request)


def contents(damaged: DamagedDatabase, *checks: SqlCheck) -> Contents:
    request = ContentsRequest(**AT, checks=checks, within=MINUTE)
    return ActivityEnvironment().run(Integrity(damaged.databases).contents, request)


def found(report: IntegrityReport) -> set[tuple[str, str]]:
    return {(damage.kind, damage.name) for damage in report.damaged}


def test_a_sound_database_is_checked_completely(damaged: DamagedDatabase) -> None:
    report = check(damaged)
    assert report.good
    assert report.checked == report.relations
    everything = damaged.value(
        "SELECT count(*) FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE amname IN ('heap', 'btree')"
    )
    assert report.checked == everything
    assert report.checksum_failures == 0


def test_every_damage_is_found_and_none_hides_another(damaged: DamagedDatabase) -> None:
    toast = "(SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'documents'::regclass)"
    damaged.damage((damaged.file("'orders'"), 3), (damaged.file("'jobs_pkey'"), 2), (damaged.file(toast), 0))
    report = check(damaged)
    assert {("table", "orders"), ("index", "jobs_pkey"), ("toast", "documents")} <= found(report)
    assert not {name for _, name in found(report)} & {"jobs", "documents_pkey"}
    assert report.checked == report.relations
    assert report.checksum_failures is not None
    assert report.checksum_failures >= 3
    assert "xxx" not in report.model_dump_json()
    # Who looks at another database of the server is told of this one, and not that its own is damaged.
    name = urlsplit(damaged.url).path.removeprefix("/")
    with psycopg.connect(DamagedDatabase(damaged.server).url, row_factory=dict_row, autocommit=True) as beside:
        health = measure(beside, DatabaseHealthRequest(**AT, policy=MaintenancePolicy()))
    assert health.checksum_failures == 0
    assert name in health.damaged_databases
    # Rows are counted in the table itself, whatever its indexes say.
    rows = contents(damaged).tables
    assert rows["public.orders"] is None
    assert rows["public.jobs"] == ROWS


def test_a_row_that_an_index_does_not_know_is_found(damaged: DamagedDatabase) -> None:
    ready = "UPDATE pg_index SET indisready = {0}, indisvalid = {0} WHERE indexrelid = 'jobs_pkey'::regclass"
    damaged.run(ready.format("false"), "INSERT INTO jobs VALUES (1000000)", ready.format("true"))
    report = check(damaged)
    assert found(report) == {("index", "jobs_pkey")}
    assert "lacks matching index tuple" in report.damaged[0].what
    assert check(damaged, all_rows_indexed=False).good


def test_a_file_that_is_gone_is_found(damaged: DamagedDatabase) -> None:
    file = damaged.file("'orders_pkey'")
    damaged.stop()
    file.unlink()
    damaged.server.restart()
    report = check(damaged)
    assert {("index", "orders_pkey"), ("catalogue", "every relation has its file")} <= found(report)
    assert ("table", "orders") not in found(report)


def test_a_second_attempt_goes_on_where_the_first_one_was(damaged: DamagedDatabase) -> None:
    file = damaged.file("'orders'")
    damaged.damage((file, 3))
    beats = []
    first = ActivityEnvironment()
    first.on_heartbeat = lambda *details: beats.append(details[0])
    whole = check(damaged, first)
    # The first one's worker died when it had done all tables of ours; the disk has been repaired since, say.
    after = damaged.value("SELECT 'orders'::regclass::oid::bigint")
    damaged.run("TRUNCATE orders")
    second = ActivityEnvironment()
    known = [damage.model_dump() for damage in whole.damaged]
    details = {**beats[-1], "after": after, "checked": 77, "damaged": known}
    second.info = replace(second.info, heartbeat_details=[details])
    report = check(damaged, second)
    assert ("table", "orders") in found(report), "found by the first attempt"
    assert 77 < report.checked < report.relations + 77


def test_time_that_is_up_leaves_the_rest_and_says_so(damaged: DamagedDatabase) -> None:
    damaged.run("CREATE TABLE wide AS SELECT n, repeat('y', 300) AS t FROM generate_series(1, 150000) n")
    report = check(damaged, within=timedelta(milliseconds=1))
    assert not report.complete
    assert not report.good
    assert report.checked < report.relations


def test_a_cancelled_check_ends_its_statements(damaged: DamagedDatabase) -> None:
    damaged.run(
        "CREATE FUNCTION slowly(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS "
        "$$BEGIN PERFORM pg_sleep(600); RETURN id; END$$",
        "CREATE INDEX slow ON jobs (slowly(id)) WHERE id < 0",
    )
    # The check computes the index' expression for every row that should be in it, and so it sleeps.
    damaged.run(
        "UPDATE pg_index SET indisready = false WHERE indexrelid = 'slow'::regclass",
        "INSERT INTO jobs VALUES (-1)",
        "UPDATE pg_index SET indisready = true WHERE indexrelid = 'slow'::regclass",
    )
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    environment = ActivityEnvironment()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            check(damaged, environment)
        except BaseException as error:  # noqa: BLE001 - the thread's own verdict
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: damaged.value(sleeping))
    environment.cancel()
    thread.join(120)
    assert not thread.is_alive()
    assert [type(error) for error in raised] == [CancelledError]
    eventually(lambda: damaged.value(sleeping) == 0)


def test_amcheck_is_created_only_where_that_is_allowed(damaged: DamagedDatabase) -> None:
    damaged.run("DROP EXTENSION amcheck")
    with pytest.raises(Misconfigured, match="amcheck is missing"):
        check(damaged, install=False)
    assert damaged.value("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'") == 0
    assert check(damaged).good


@pytest.mark.parametrize(
    ("sql", "passed"),
    [
        ("SELECT count(*) = 20 FROM documents", True),
        ("SELECT id FROM orders WHERE id < 0", True),
        ("SELECT count(*) = 21 FROM documents", False),
        ("SELECT id FROM orders", False),
        ("SELECT NULL::boolean", False),
        ("DELETE FROM orders", False),
        ("SELECT true; DELETE FROM orders", False),
        ("COMMIT", False),
        ("SELECT nothing FROM nowhere", False),
    ],
)
def test_rules_of_the_settings_are_tried_and_change_nothing(damaged: DamagedDatabase, sql: str, passed: bool) -> None:  # noqa: FBT001
    found = contents(damaged, SqlCheck(name="rule", sql=sql))
    assert [check.passed for check in found.checks] == [passed]
    assert found.tables["public.orders"] == ROWS


def test_the_last_transaction_is_told_where_the_server_keeps_it(damaged: DamagedDatabase) -> None:
    assert contents(damaged).last_transaction is None
    damaged.run("ALTER SYSTEM SET track_commit_timestamp = on")
    damaged.stop()
    damaged.server.restart()
    try:
        damaged.run("INSERT INTO jobs VALUES (-1)")
        last = contents(damaged).last_transaction
        assert last is not None
        assert abs(datetime.now(UTC) - last) < MINUTE
    finally:
        damaged.run("ALTER SYSTEM RESET track_commit_timestamp")


def test_the_difference_names_the_tables_that_change(damaged: DamagedDatabase) -> None:
    before = contents(damaged)
    damaged.run("DELETE FROM orders WHERE id > 10", "CREATE TABLE new (id int)", "DROP TABLE documents")
    changed = difference(before, contents(damaged))
    assert changed.lines() == [
        "public.documents: 20 → ? rows",
        "public.new: ? → 0 rows",
        f"public.orders: {ROWS} → 10 rows",
        "1 table has as many rows",
    ]
    assert len(difference(None, before).changed) == 3


def test_a_server_that_is_gone_is_unavailable(damaged: DamagedDatabase) -> None:
    damaged.stop()
    try:
        with pytest.raises(Unavailable):
            check(damaged)
    finally:
        damaged.server.restart()
