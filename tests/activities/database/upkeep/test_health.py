"""The health of a real database: rows that are really dead, indexes really bloated, transactions really old."""

import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from temporalio.testing import ActivityEnvironment

from activities.catalogue.database import MaintenancePolicy
from activities.common.errors import Refused
from activities.database.upkeep.health import (
    DatabaseHealth,
    DatabaseHealthRequest,
    Limits,
    ReplicaState,
    SlotState,
    notable_tables,
)
from activities.database.upkeep.postgres import Postgres, VacuumTable
from activities.database.upkeep.tables import IndexState, TableState
from sandbox.postgres import with_database
from sandbox.service_database import PRIMARY, REPLICA, SPARES, ServiceDatabase
from tests.activities.database.on_postgres import AT, LONG, WRITER, OnPostgres, an_effect, databases
from tests.activities.database.on_replicas import OnReplicas
from tests.activities.kubernetes.on_cluster import eventually
from tests.activities.releases.on_helm import Background
from tests.records_schema.own_server import OwnPostgres

POLICY = MaintenancePolicy(dead_rows=100, changed_rows=100, index_size=100_000, holds_back=timedelta(milliseconds=1))


@pytest.fixture
def on(empty_database_url: str) -> Iterator[OnPostgres]:
    with ExitStack() as stack:
        yield OnPostgres(empty_database_url, stack)


def health(on: OnPostgres, **fields: Any) -> DatabaseHealth:
    return on.run(on.postgres.health, DatabaseHealthRequest(**AT, **{"policy": POLICY, **fields}))


def table(found: DatabaseHealth, name: str = "items") -> TableState:
    return next(one for one in found.tables if one.name == name)


def index(found: DatabaseHealth, name: str = "items_name") -> IndexState:
    return next(one for one in found.indexes if one.name == name)


def grow(on: OnPostgres, rows: int = 20_000) -> None:
    on.sql.execute("INSERT INTO items SELECT n, 'name ' || n FROM generate_series(1001, %s) n", (rows,))
    on.sql.execute("ANALYZE items")


# -- the server ----------------------------------------------------------------------------------------------


@contextmanager
def _prepares(own_postgres: OwnPostgres) -> Iterator[OnPostgres]:
    """Start a server that can prepare transactions, and connect to it."""
    own_postgres.start()
    with ExitStack() as stack:
        first = OnPostgres(own_postgres.url(), stack)
        first.sql.execute("ALTER SYSTEM SET max_prepared_transactions = 2")
        own_postgres.stop(signal.SIGINT)
        own_postgres.start()
        first.sql = first.connect("test")
        yield first


XA = "131077_" + "AAAAAAAAAAAAAP//fwAAAYjkcmVj" * 5 + "_it's"
"""As transaction managers of Java name theirs: long, and with whatever they like."""


def test_a_transaction_of_any_name_can_be_ended_as_it_is_said(own_postgres: OwnPostgres) -> None:
    with _prepares(own_postgres) as first:
        preparing = first.connect("bank", transaction=True)
        preparing.execute("DELETE FROM items WHERE id = 1")
        preparing.execute(sql.SQL("PREPARE TRANSACTION {}").format(XA))
        time.sleep(0.01)
        (told,) = health(first).problems(POLICY)
        out = re.search(r"ROLLBACK PREPARED .*(?= ends it)", told)
        assert out is not None
        first.sql.execute(out[0].encode())
        assert health(first).holders == []


def test_old_rows_that_no_vacuum_reaches_are_told(on: OnPostgres) -> None:
    other = on.connect("session")
    other.execute('CREATE TEMPORARY TABLE "The basket" (id int)')
    assert health(on).holders == []
    policy = POLICY.model_copy(update={"freeze_share": 1e-9})
    (told,) = [one for one in health(on, policy=policy).problems(policy) if "basket" in one]
    assert told.startswith("temporary table pg_temp_")
    drop = re.search(r'DROP TABLE pg_temp_\d+\."The basket"', told)
    assert drop is not None
    on.sql.execute(drop[0].encode())
    assert not [one for one in health(on, policy=policy).problems(policy) if "basket" in one]


def test_another_database_with_older_rows_is_named(on: OnPostgres) -> None:
    found = health(on)
    assert found.older_database != on.one("SELECT current_database()")
    bad = found.model_copy(update={"xid_age": 300_000_000, "older_database": "billing"})
    assert next(one for one in bad.problems(POLICY) if "keep up" in one).endswith("database billing: vacuum that one")


def test_a_healthy_database(on: OnPostgres) -> None:
    found = health(on)
    assert (found.tables, found.indexes, found.unknown) == ([], [], [])
    assert list(found.problems(POLICY)) == []
    assert 0 < found.connections < found.connections_limit < 200
    assert found.checksum_failures == 0
    assert 0 < found.xid_age < found.freeze_max_age == 200_000_000
    assert found.size == on.one("SELECT pg_database_size(current_database())")
    assert "0 dead rows, 0 B wasted in indexes" in str(found)


def test_what_is_wrong_with_a_server_is_said(on: OnPostgres) -> None:
    bad = health(on).model_copy(
        update={
            "connections": 190,
            "connections_limit": 197,
            "checksum_failures": 2,
            "damaged_databases": ["billing"],
            "autovacuum": False,
            "counts": False,
            "unseen": ["1 session of app: track_activities is off for it"],
            "cache_hit": 0.5,
            "reads": 1_000_000,
            "xid_age": 300_000_000,
            "older_database": None,
            "replicas": [
                ReplicaState(name="replica-1", state="streaming", lag_bytes=2**30, lag_seconds=90.0),
                ReplicaState(name="barman", state="streaming", replays=False),
            ],
            "slots": [SlotState(name="old", active=False, wal_status="extended", kept=2**40)],
        }
    )
    assert list(bad.problems(POLICY, replicas=2)) == [
        "190 of 197 connections are taken",
        "2 checksum failures: data is damaged, see point-in-time-restore (7.3)",
        "checksum failures in other databases of the server: billing",
        "autovacuum is off",
        "track_counts is off: nobody counts dead rows, and autovacuum does nothing",
        "only 50.0% of reads come from memory",
        "autovacuum doesn't keep up: 300,000,000 transactions since the oldest row that isn't frozen",
        "1 of 2 replicas streams",
        "replica replica-1 streaming (1.0 GiB, 90.0 s behind)",
        "slot old is inactive and keeps 1.0 TiB",
        "neither long queries nor what holds vacuum back is seen of 1 session of app: track_activities is off for it",
    ]


def a_table(name: str, **fields: int) -> TableState:
    known = {"oid": 1, "schema_name": "public", "size": 2**30, "rows": 1000, "dead": 0, "changed": 0, "age": 1000}
    return TableState.model_validate({**known, "name": name, **fields})


def test_a_table_that_is_to_be_frozen_comes_before_those_that_only_grow() -> None:
    busy = [a_table(f"busy_{number}", dead=10_000 + number) for number in range(100)]
    limits = Limits(age=160_000_000, multixact_age=320_000_000)
    found = notable_tables([*busy, a_table("archive", age=199_000_000)], POLICY, limits, ["busy_0"])
    assert [table.name for table in found[:3]] == ["busy_0", "archive", "busy_99"]


@pytest.mark.parametrize(("ages", "notable"), [((1, 320), True), ((1200, 1), True), ((1199, 319), False)])
def test_transactions_and_multixacts_each_have_their_own_limit(ages: tuple[int, int], *, notable: bool) -> None:
    limits = Limits(age=1200, multixact_age=320)
    found = notable_tables([a_table("old", age=ages[0], multixact_age=ages[1])], POLICY, limits, [])
    assert bool(found) == notable


def test_a_server_that_does_not_count_is_not_healthy(own_postgres: OwnPostgres) -> None:
    with _prepares(own_postgres) as on:
        assert health(on).counts
        on.sql.execute("ALTER SYSTEM SET track_counts = off")
        on.sql.execute("SELECT pg_reload_conf()")
        eventually(lambda: not health(on).counts)


def test_what_holds_vacuum_back(own_postgres: OwnPostgres) -> None:
    with _prepares(own_postgres) as first:
        reader = first.connect("report", transaction=True)
        pid = str(reader.info.backend_pid)
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM items")
        preparing = first.connect("bank", transaction=True)
        preparing.execute("DELETE FROM items WHERE id = 1; PREPARE TRANSACTION 'transfer-7'")
        first.sql.execute("SELECT pg_create_physical_replication_slot('left', true)")
        time.sleep(0.01)
        found = health(first)
        told = sorted(found.problems(POLICY))
        first.sql.execute("ROLLBACK PREPARED 'transfer-7'")
    assert {(holder.kind, holder.name) for holder in found.holders} == {
        ("session", pid),
        ("prepared transaction", "transfer-7"),
    }
    assert told[0].startswith("prepared transaction transfer-7 of runbooks since ")
    assert "idle in transaction" in told[1]
    assert told[1].endswith("keeps vacuum from removing rows that died since")
    assert [(slot.name, slot.active) for slot in found.slots] == [("left", False)]


# -- tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_dead_rows(on: OnPostgres, *, exact: bool) -> None:
    if exact:
        on.sql.execute("CREATE SCHEMA tools; CREATE EXTENSION pgstattuple SCHEMA tools")
    on.delete(300)
    found = table(health(on))
    assert (found.dead, found.rows, found.exact, found.changed) == (300, 700, exact, 300)
    assert found.dead_share == 0.3
    assert found.vacuumed_at is None
    on.run(on.postgres.vacuum, on.vacuum())
    assert health(on).tables == []


def test_what_statistics_have_forgotten_after_a_crash_is_counted(on: OnPostgres) -> None:
    on.sql.execute("CREATE EXTENSION pgstattuple")
    grow(on)
    on.delete(5000)
    on.sql.execute("SELECT pg_stat_reset()")
    assert on.one("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'items'") == 0
    assert table(health(on)).dead == 5000


def test_stale_statistics(on: OnPostgres) -> None:
    on.sql.execute("INSERT INTO items SELECT n, 'x' FROM generate_series(2000, 2199) n")
    on.sql.execute("SELECT pg_stat_force_next_flush()")
    found = table(health(on))
    assert (found.dead, found.changed) == (0, 200)
    assert found.analyzed_at is not None


def test_old_rows(on: OnPostgres) -> None:
    found = table(health(on, policy=POLICY.model_copy(update={"freeze_share": 1e-9})))
    assert found.age >= 1
    assert found.age == on.one("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'items'")


def test_a_table_that_somebody_locks_is_estimated_and_not_waited_for(on: OnPostgres) -> None:
    on.sql.execute("CREATE EXTENSION pgstattuple")
    on.delete(300)
    with on.held("LOCK items IN ACCESS EXCLUSIVE MODE"):
        began = time.monotonic()
        found = table(health(on))
        assert time.monotonic() - began < 60, "it is locked for as long as the test lasts"
    assert (found.dead, found.exact) == (300, False)


# -- indexes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [False, True])
def test_a_bloated_index(on: OnPostgres, *, exact: bool) -> None:
    if exact:
        on.sql.execute("CREATE EXTENSION pgstattuple")
    on.sql.execute("CREATE INDEX items_upper ON items (upper(name), id)")
    grow(on)
    on.sql.execute("REINDEX TABLE items; ANALYZE items")
    names = ["items_name", "items_upper", "items_pkey"]
    fresh = health(on, indexes=names)
    assert all((index(fresh, name).bloat or 0) < 0.2 for name in names)
    on.sql.execute("DELETE FROM items WHERE id % 10 <> 0")
    on.sql.execute("VACUUM ANALYZE items")
    bloated = health(on)
    assert {one.name for one in bloated.indexes} == set(names)
    assert all(0.75 < (one.bloat or 0) < 0.95 and one.exact is exact for one in bloated.indexes)
    assert bloated.figures.index_waste > 800_000
    on.run(on.postgres.reindex, on.reindex())
    assert {one.name for one in health(on).indexes} == set(names) - {"items_name"}


def test_an_index_without_an_entry(on: OnPostgres) -> None:
    on.sql.execute("CREATE EXTENSION pgstattuple; TRUNCATE items")
    found = index(health(on, indexes=["items_name"]))
    assert (found.exact, found.wasted) == (True, 0)


def test_invalid_indexes_and_what_crashes_left(on: OnPostgres) -> None:
    with on.held(WRITER):
        theirs = on.connect("dba")
        running = Background(lambda: theirs.execute("REINDEX INDEX CONCURRENTLY items_name"))
        eventually(
            lambda: on.one("SELECT phase FROM pg_stat_progress_create_index") == "waiting for writers before build"
        )
        building = index(health(on), "items_name_ccnew")
        assert (building.valid, building.being_built, building.leftover) == (False, True, False)
        on.sql.execute("SELECT pg_terminate_backend(%s)", (theirs.info.backend_pid,))
        running.join()
    on.sql.execute(
        "CREATE INDEX items_other ON items (id); "
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'items_other'::regclass"
    )
    found = health(on)
    assert found.figures.invalid_indexes == 2
    left = index(found, "items_name_ccnew")
    assert (left.valid, left.being_built, left.leftover) == (False, False, True)
    assert not index(found, "items_other").leftover


def test_an_exclusion_constraint_cannot_be_rebuilt_concurrently(on: OnPostgres) -> None:
    on.sql.execute("CREATE TABLE spans (at int4range, CONSTRAINT spans_at EXCLUDE USING gist (at WITH &&))")
    found = index(health(on, indexes=["spans_at"]), "spans_at")
    assert (found.method, found.concurrently, found.bloat) == ("gist", False, None)


# -- what the request names ----------------------------------------------------------------------------------


def test_named_tables_and_indexes_are_reported_whatever_their_state(on: OnPostgres) -> None:
    found = health(on, tables=["public.items"], indexes=["items"])
    assert [(one.full_name, one.named) for one in found.tables] == [("public.items", True)]
    assert {(one.name, one.named) for one in found.indexes if not one.toast} == {
        ("items_name", True),
        ("items_pkey", True),
    }
    assert found.unknown == []


def test_names_that_there_are_none_or_several_of(on: OnPostgres) -> None:
    on.sql.execute(
        "CREATE SCHEMA other; CREATE TABLE other.items (id int); CREATE INDEX items_name ON other.items (id)"
    )
    found = health(on, tables=["nothing", "items", "other.items"], indexes=["items_nam", "items_name", "other.items"])
    assert found.unknown == [
        "tables: nothing",
        "tables: items (say which: other.items, public.items)",
        "reindex: items_nam",
        "reindex: items_name (say which: other.items_name, public.items_name)",
    ]


# -- a primary with a replica --------------------------------------------------------------------------------


def test_a_primary_and_its_replica(start_service_database: Callable[..., ServiceDatabase]) -> None:
    database = start_service_database()
    postgres = Postgres(databases(primary=database.url(PRIMARY), replica=database.url(REPLICA)))
    environment = ActivityEnvironment()
    primary = environment.run(postgres.health, DatabaseHealthRequest(**AT, policy=POLICY))
    assert [(one.name, one.state, one.replays) for one in primary.replicas if one.replays] == [
        (REPLICA, "streaming", True)
    ]
    assert not primary.in_recovery
    assert list(primary.problems(POLICY.model_copy(update={"holds_back": timedelta(hours=1)}), replicas=1)) == []
    replica = environment.run(postgres.health, DatabaseHealthRequest(database="tensafe", server="replica"))
    assert replica.in_recovery
    request = VacuumTable(
        database="tensafe",
        server="replica",
        table_schema="public",
        table="events",
        since=replica.at,
        within=LONG,
        effect=an_effect(),
    )
    with pytest.raises(Refused, match="tensafe/replica is a replica: maintenance is done on the primary"):
        environment.run(postgres.vacuum, request)


class FeedbackOfAReplica:
    """A replica with hot_standby_feedback, on which somebody reads for long; rows die meanwhile."""

    def __init__(self, database: ServiceDatabase, *, slot: bool) -> None:
        self.on = OnReplicas(database)
        self.sql(REPLICA, "ALTER SYSTEM SET hot_standby_feedback = on")
        if not slot:
            self.sql(REPLICA, "ALTER SYSTEM SET primary_slot_name = ''")
            self.connects(REPLICA, application_name=None)
        self.sql(REPLICA, "SELECT pg_reload_conf()")
        if not slot:
            gone = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'replica_1'"
            eventually(lambda: self.dropped(gone))
        self.sql(PRIMARY, "CREATE TABLE junk (id int) WITH (autovacuum_enabled = false)")
        self.fill()
        eventually(lambda: self.sql(REPLICA, "SELECT count(*) FROM pg_class WHERE relname = 'junk'") == 1)

    def sql(self, server: str, query: str) -> Any:
        return self.on.sql(server, query)

    def connects(self, server: str, **parts: Any) -> None:
        """Have a replica connect otherwise than it does; None leaves a part out."""
        now = psycopg.conninfo.conninfo_to_dict(self.sql(server, "SHOW primary_conninfo"))
        conninfo = psycopg.conninfo.make_conninfo("", **{**now, **parts})
        self.sql(server, sql.SQL("ALTER SYSTEM SET primary_conninfo = {}").format(conninfo).as_string())
        self.sql(server, "SELECT pg_reload_conf()")

    def fill(self) -> None:
        self.sql(PRIMARY, "INSERT INTO junk SELECT generate_series(1, 20000)")

    def ask(self, server: str) -> int:
        """Count the replicas that ask a server for something, and use no slot."""
        return int(self.sql(server, "SELECT count(*) FROM pg_stat_replication WHERE backend_xmin IS NOT NULL"))

    def dropped(self, query: str) -> bool:
        try:
            self.sql(PRIMARY, query)
        except psycopg.errors.ObjectInUse:
            return False
        return True

    @contextmanager
    def reading(self, server: str = REPLICA) -> Iterator[int]:
        """Read on the replica, and have rows die on the primary; gives the reader's PID."""
        with psycopg.connect(self.on.database.url(server), application_name="report") as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT count(*) FROM junk")
            self.sql(PRIMARY, "DELETE FROM junk")
            eventually(self.held_back)
            yield reader.info.backend_pid

    def held_back(self) -> bool:
        self.on.write(PRIMARY)
        self.sql(PRIMARY, "VACUUM junk")
        return bool(self.sql(PRIMARY, "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'junk'") == 20_000)

    def told(self, *names: str, policy: MaintenancePolicy = POLICY) -> list[str]:
        """Look at the primary by settings that name these servers."""
        urls = {name: self.on.database.url(name) for name in (PRIMARY, *names)}
        request = DatabaseHealthRequest(database="tensafe", server=PRIMARY, policy=policy)
        found = ActivityEnvironment().run(Postgres(databases(**urls)).health, request)
        return [problem for problem in found.problems(policy) if "keeps vacuum" in problem]


@pytest.mark.parametrize("slot", [True, False])
def test_who_holds_vacuum_back_through_a_replica(
    start_service_database: Callable[..., ServiceDatabase], *, slot: bool
) -> None:
    feedback = FeedbackOfAReplica(start_service_database(), slot=slot)
    eventually(lambda: feedback.told(REPLICA) == [])
    with feedback.reading() as pid:
        (told,) = feedback.told(REPLICA)
        assert told.startswith(
            f"session {pid} of runbooks on the replica {REPLICA} (hot_standby_feedback), idle in transaction, since 2"
        )
        assert feedback.told(REPLICA, policy=POLICY.model_copy(update={"holds_back": timedelta(hours=1)})) == []
        (unknown,) = feedback.told()
        assert unknown.startswith(f"replica {REPLICA} (127.0.0.1{', slot replica_1' if slot else ''}) by its hot_st")
        assert "for whom is not known (no server of the settings is it)" in unknown
        assert feedback.told(policy=POLICY.model_copy(update={"dead_rows": 100_000})) == []


def test_a_replica_whose_replay_is_late_holds_vacuum_back_with_nobody_on_it(
    start_service_database: Callable[..., ServiceDatabase],
) -> None:
    feedback = FeedbackOfAReplica(start_service_database(), slot=True)
    feedback.sql(REPLICA, "ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
    feedback.sql(REPLICA, "SELECT pg_reload_conf()")
    eventually(lambda: feedback.sql(REPLICA, "SHOW recovery_min_apply_delay") == "1h")
    feedback.on.write(PRIMARY)
    feedback.sql(PRIMARY, "DELETE FROM junk")
    eventually(feedback.held_back)
    replay = f"replay on the replica {REPLICA} (hot_standby_feedback), "
    keeps = " keeps vacuum from removing rows that died since: "
    eventually(lambda: len(feedback.told(REPLICA)) == 1)
    (told,) = feedback.told(REPLICA)
    assert told.startswith(f"{replay}kept 1 h behind, since 2")
    assert told.endswith(f"{keeps}hot_standby_feedback = off there ends it")
    feedback.sql(REPLICA, "SELECT pg_wal_replay_pause()")
    (told,) = feedback.told(REPLICA)
    assert told.startswith(f"{replay}paused, since 2")
    assert told.endswith(f"{keeps}SELECT pg_wal_replay_resume() there lets it go on")
    day = POLICY.model_copy(update={"holds_back": timedelta(days=1)})
    assert feedback.told(REPLICA, policy=day) == []


def test_replicas_that_nothing_tells_apart_and_one_behind_another(
    start_service_database: Callable[..., ServiceDatabase],
) -> None:
    feedback = FeedbackOfAReplica(start_service_database(), slot=False)
    spare = SPARES[0]
    feedback.on.second_replica(spare)
    for setting in ("hot_standby_feedback = on", "primary_slot_name = ''"):
        feedback.sql(spare, f"ALTER SYSTEM SET {setting}")
    for server in (REPLICA, spare):
        feedback.connects(server, application_name="walreceiver")
    eventually(lambda: feedback.dropped("SELECT pg_drop_replication_slot('spare_1')"))
    eventually(lambda: feedback.ask(PRIMARY) == 2)
    with feedback.reading() as pid:
        for names in ((REPLICA, spare), (spare, REPLICA)):
            (told,) = feedback.told(*names)
            assert told.startswith(f"session {pid} of runbooks on the replica {REPLICA} (hot_standby_feedback)")
        (told,) = feedback.told(spare)
        assert "for whom is not known (no server of the settings is it)" in told
    feedback.connects(spare, port=feedback.on.database.ports[REPLICA])
    eventually(lambda: (feedback.ask(PRIMARY), feedback.ask(REPLICA)) == (1, 1))
    feedback.fill()
    with feedback.reading(spare) as pid:
        (told,) = feedback.told(REPLICA, spare)
        assert told.startswith(f"session {pid} of runbooks on the replica {spare} (hot_standby_feedback)")
        (told,) = feedback.told(REPLICA)
        assert told.startswith(f"replica walreceiver (127.0.0.1, it follows {REPLICA}) by its hot_standby_feedback")


def test_workers_of_a_parallel_query_are_not_told_beside_it(on: OnPostgres) -> None:
    on.sql.execute("SELECT pg_advisory_lock(1)")
    leader = on.connect("report")
    for setting in ("debug_parallel_query = on", "statement_timeout = 0"):
        leader.execute(f"SET {setting}".encode())
    on.sql.execute(
        "CREATE FUNCTION waits(int) RETURNS int LANGUAGE sql PARALLEL SAFE "
        "AS 'SELECT count(pg_advisory_lock_shared(1))::int'"
    )
    reading = Background(lambda: leader.execute("SELECT waits(1)"))
    worker = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker' AND backend_xmin IS NOT NULL"
    try:
        eventually(lambda: on.one(worker) == 1)
        assert [holder.name for holder in health(on).holders] == [str(leader.info.backend_pid)]
    finally:
        on.sql.execute("SELECT pg_advisory_unlock(1)")
        reading.end()


def test_a_slot_that_is_lost_holds_nothing_back(own_postgres: OwnPostgres) -> None:
    own_postgres.start()
    with ExitStack() as stack:
        on = OnPostgres(own_postgres.url(), stack)
        for setting in ("wal_level = logical", "max_slot_wal_keep_size = '1MB'"):
            on.sql.execute(f"ALTER SYSTEM SET {setting}".encode())
        own_postgres.stop(signal.SIGINT)
        own_postgres.start()
        on.sql = on.connect("test")
        on.sql.execute("SELECT pg_create_logical_replication_slot('left', 'pgoutput')")
        for _ in range(3):
            on.sql.execute("SELECT pg_logical_emit_message(false, 'test', 'x'), pg_switch_wal()")
        on.sql.execute("CHECKPOINT")
        assert on.one("SELECT catalog_xmin IS NOT NULL FROM pg_replication_slots") is True
        (told,) = health(on).problems(POLICY)
    assert told == (
        "slot left is lost: the log that its reader needs is gone, so that has to begin anew; the slot keeps nothing, "
        "and goes by pg_drop_replication_slot('left')"
    )


def test_slots_hold_vacuum_back_with_a_reader_or_without(own_postgres: OwnPostgres) -> None:
    own_postgres.start()
    with ExitStack() as stack:
        on = OnPostgres(own_postgres.url(), stack)
        on.sql.execute("ALTER SYSTEM SET wal_level = logical")
        own_postgres.stop(signal.SIGINT)
        own_postgres.start()
        on.sql = on.connect("test")
        on.sql.execute("SELECT pg_create_logical_replication_slot('left', 'pgoutput')")
        (told,) = health(on).problems(POLICY)
    assert told.startswith("replication slot left of postgres, inactive, since 2")
    assert "keeps vacuum from removing rows of the system catalogue that died since" in told
    assert told.endswith("where nobody will read it again, pg_drop_replication_slot('left')")


def test_a_session_of_another_database_holds_nothing_back_here(on: OnPostgres) -> None:
    elsewhere = on.connect("elsewhere", url=with_database(on.url, "postgres"), transaction=True)
    elsewhere.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class")
    assert health(on).holders == []
    here = on.connect("here", transaction=True)
    here.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM pg_class")
    assert [holder.name for holder in health(on).holders] == [str(here.info.backend_pid)]
