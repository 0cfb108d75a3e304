"""Partitioned tables: people name the parent, and nobody but a run analyzes it."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from activities.catalogue.database import MaintenancePolicy
from activities.common.errors import Refused
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest
from sandbox.postgres import Postgres
from tests.activities.database.on_postgres import AT, OnPostgres
from tests.activities.kubernetes.on_cluster import eventually
from tests.servers import CreateDatabase
from workflows.maintenance.needs import Needs, needs

POLICY = MaintenancePolicy(dead_rows=100, changed_rows=100, index_size=100_000_000)
INHERITED = "SELECT count(*) FROM pg_stats WHERE tablename = %s AND inherited"


@pytest.fixture(params=["newest", "oldest"])
def on(
    request: pytest.FixtureRequest, create_database: CreateDatabase, oldest_postgres: Postgres
) -> Iterator[OnPostgres]:
    if request.param == "newest":
        url = create_database()
    else:
        url = oldest_postgres.create_database(f"test_{secrets.token_hex(4)}")
    with ExitStack() as stack:
        on = OnPostgres(url, stack)
        on.sql.execute(
            "CREATE TABLE readings (at date NOT NULL, device int) PARTITION BY RANGE (at);"
            "CREATE TABLE readings_2026 PARTITION OF readings FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') "
            "PARTITION BY LIST (device);"
            "CREATE TABLE readings_2026_1 PARTITION OF readings_2026 FOR VALUES IN (1) "
            "WITH (autovacuum_enabled = false);"
            "CREATE TABLE readings_2027 PARTITION OF readings FOR VALUES FROM ('2027-01-01') TO ('2028-01-01') "
            "WITH (autovacuum_enabled = false);"
        )
        on.sql.execute("INSERT INTO readings SELECT '2026-01-01'::date + n % 300, 1 FROM generate_series(1, 2000) n")
        seen(on, "readings_2026_1", 2000)
        yield on


def seen(on: OnPostgres, table: str, rows: int) -> None:
    """Wait until statistics know of rows."""

    def known() -> bool:
        on.flush()
        query = "SELECT n_live_tup FROM pg_stat_user_tables WHERE relname = %s"
        return on.one(query, table) == rows

    eventually(known)


def look(on: OnPostgres, **fields: Any) -> DatabaseHealth:
    return on.run(on.postgres.health, DatabaseHealthRequest(**AT, policy=POLICY, **fields))


def needed(on: OnPostgres, **fields: Any) -> Needs:
    return needs(look(on, **fields), POLICY)


def verbs(found: Needs) -> set[tuple[str, str]]:
    return {(work.verb, work.table.name) for work in found.tables if work.table.name != "items"}


def analyze(on: OnPostgres, name: str) -> None:
    request = on.vacuum(table=name, analyze_only=True)
    assert on.run(on.postgres.vacuum, request).applied
    if on.sql.info.server_version >= 140_000:
        assert not on.run(on.postgres.vacuum, request, attempt=2).applied


def test_parents_are_analyzed_of_which_nobody_has_statistics(on: OnPostgres) -> None:
    found = needed(on)
    assert verbs(found) == {("analyze", "readings"), ("analyze", "readings_2026"), ("vacuum", "readings_2026_1")}
    assert any(told.startswith("analyze public.readings: 2,000 rows changed since its") for told in found.told())
    on.sql.execute("ANALYZE readings_2026_1")  # as autovacuum does it
    eventually(lambda: verbs(needed(on)) == {("analyze", "readings"), ("analyze", "readings_2026")})
    assert on.one(INHERITED, "readings") == 0
    for name in ("readings", "readings_2026"):
        analyze(on, name)
        assert on.one(INHERITED, name) > 0
    eventually(lambda: not verbs(needed(on)))


def test_parents_are_analyzed_again_when_their_partitions_have_changed(on: OnPostgres) -> None:
    on.sql.execute("ANALYZE readings")
    eventually(lambda: not verbs(needed(on)))
    on.sql.execute("INSERT INTO readings SELECT '2027-01-01'::date + n % 300, 1 FROM generate_series(1, 500) n")
    seen(on, "readings_2027", 500)
    assert verbs(needed(on)) == {("analyze", "readings"), ("vacuum", "readings_2027")}
    if on.sql.info.server_version >= 140_000:  # before, nobody keeps when the parent was
        on.sql.execute("ANALYZE readings_2027")
        assert verbs(needed(on)) == {("analyze", "readings")}


def test_a_parent_that_is_named_is_vacuumed_with_all_of_its_partitions(on: OnPostgres) -> None:
    found = needed(on, tables=["public.readings"])
    assert look(on, tables=["public.readings"]).unknown == []
    assert verbs(found) == {("vacuum", "readings")}
    request = on.vacuum(table="readings")
    assert on.run(on.postgres.vacuum, request).applied
    query = "SELECT min(vacuum_count) FROM pg_stat_user_tables WHERE relname IN ('readings_2026_1', 'readings_2027')"
    eventually(lambda: on.one(query) == 1)
    if on.sql.info.server_version >= 140_000:
        assert not on.run(on.postgres.vacuum, request, attempt=2).applied
    assert on.one(INHERITED, "readings") > 0


def test_a_parent_whose_vacuum_was_broken_off_after_one_partition_is_vacuumed_again(on: OnPostgres) -> None:
    request = on.vacuum(table="readings")
    on.sql.execute("VACUUM (ANALYZE) readings_2026_1")
    on.sql.execute("ANALYZE readings")
    eventually(
        lambda: on.one(
            "SELECT last_vacuum > %s FROM pg_stat_user_tables WHERE relname = 'readings_2026_1'", request.since
        )
    )
    never = "SELECT last_vacuum IS NULL FROM pg_stat_user_tables WHERE relname = 'readings_2027'"
    assert on.one(never)
    assert on.run(on.postgres.vacuum, request, attempt=2).applied
    eventually(lambda: not on.one(never))


def test_a_table_from_which_others_inherit_is_analyzed_for_them(on: OnPostgres) -> None:
    on.sql.execute(
        "CREATE TABLE events (at date); CREATE TABLE events_a () INHERITS (events);"
        "CREATE TABLE events_b () INHERITS (events_a); CREATE TABLE events_c () INHERITS (events, events_b);"
    )
    for name in ("events_a", "events_b", "events_c"):
        on.sql.execute(f"ALTER TABLE {name} SET (autovacuum_enabled = false)")
        on.sql.execute(f"INSERT INTO {name} SELECT '2026-01-01'::date + n FROM generate_series(1, 200) n")
        seen(on, name, 200)
    on.sql.execute("ANALYZE events_a; ANALYZE events_b; ANALYZE events_c")
    seen(on, "events_c", 200)
    eventually(lambda: ("analyze", "events") in verbs(needed(on)))
    assert "analyze public.events: 600 rows of tables that inherit from it" in "\n".join(needed(on).told())
    assert on.one(INHERITED, "events") == 0
    request = on.vacuum(table="events", analyze_only=True)
    assert on.run(on.postgres.vacuum, request).applied
    eventually(lambda: on.one("SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'events'"))
    assert not on.run(on.postgres.vacuum, request, attempt=2).applied
    assert on.one(INHERITED, "events") == 1
    eventually(lambda: ("analyze", "events") not in verbs(needed(on)))


def test_a_table_from_which_others_inherit_is_vacuumed_alone(on: OnPostgres) -> None:
    on.sql.execute(
        "CREATE TABLE events (id int) WITH (autovacuum_enabled = false); "
        "CREATE TABLE events_a () INHERITS (events) WITH (autovacuum_enabled = false); INSERT INTO events VALUES (1); "
        "INSERT INTO events_a VALUES (2)"
    )
    assert on.run(on.postgres.vacuum, on.vacuum(table="events")).applied
    query = "SELECT array_agg(relname::text) FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL"
    eventually(lambda: on.one(query) == ["events"])
    assert on.one(INHERITED, "events") == 1


def test_a_foreign_server_that_is_away_is_not_the_database(on: OnPostgres) -> None:
    on.sql.execute(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw "
        "OPTIONS (host '127.0.0.1', port '1', dbname 'archive');"
        "CREATE USER MAPPING FOR CURRENT_USER SERVER archive OPTIONS (user 'nobody', password 'nothing');"
        "CREATE FOREIGN TABLE readings_2025 PARTITION OF readings "
        "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') SERVER archive"
    )
    for analyze_only in (True, False):
        with pytest.raises(Refused, match="answers, and a foreign server that one of its tables is on does not"):
            on.run(on.postgres.vacuum, on.vacuum(table="readings", analyze_only=analyze_only))
    assert {table for _, table in verbs(needed(on))} >= {"readings"}
