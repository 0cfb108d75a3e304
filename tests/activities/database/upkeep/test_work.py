"""Vacuum and reindex on real PostgreSQL: once, whatever is killed in the middle of them."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import psycopg
import pytest
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Conflict, Misconfigured, NotFound, Refused, Unavailable
from activities.database.servers.servers import OnServer
from activities.database.upkeep.postgres import DropLeftover, Postgres, ReindexIndex, StopWork, VacuumTable
from activities.database.upkeep.work import WorkProgress, going_on
from tests.activities.database import postgres_worker
from tests.activities.database.on_postgres import AT, READER, WRITER, OnPostgres, an_effect, databases
from tests.activities.kubernetes.on_cluster import eventually
from tests.activities.releases.on_helm import Background
from tests.records_schema.own_server import OwnPostgres

EARLIER = "done by an earlier attempt"


@pytest.fixture
def on(empty_database_url: str) -> Iterator[OnPostgres]:
    with ExitStack() as stack:
        yield OnPostgres(empty_database_url, stack)


@contextmanager
def killed(on: OnPostgres, request: VacuumTable | ReindexIndex) -> Iterator[int]:
    """A worker in the middle of an effect, killed; its backend goes on."""
    method = "vacuum" if isinstance(request, VacuumTable) else "reindex"
    process = subprocess.Popen(
        [sys.executable, "-m", postgres_worker.__name__, method, request.model_dump_json()], stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(on.url.encode())
    process.stdin.close()
    try:
        backend = on.wait_at_work(request.effect)
    finally:
        process.kill()
        process.wait()
    yield backend


# -- vacuum --------------------------------------------------------------------------------------------------


def test_a_table_is_vacuumed_and_analyzed(on: OnPostgres) -> None:
    on.delete(400)
    change = on.run(on.postgres.vacuum, on.vacuum())
    assert (change.applied, change.target) == (True, "table/public.items")
    assert change.before == "400 dead rows, last vacuumed never"
    assert on.vacuums == 1
    assert on.one("SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'items'") == 0
    assert on.one("SELECT reltuples FROM pg_class WHERE relname = 'items'") == 600


def test_a_second_attempt_recognises_it(on: OnPostgres) -> None:
    request = on.vacuum()
    first = on.run(on.postgres.vacuum, request)
    again = on.run(on.postgres.vacuum, request, attempt=2)
    assert (again.applied, again.after) == (False, first.after)
    assert again.note.startswith(EARLIER)
    assert on.vacuums == 1


def test_vacuumed_and_not_yet_analyzed_is_half_of_it(on: OnPostgres) -> None:
    request = on.vacuum()
    on.sql.execute("SELECT pg_stat_reset()")
    on.sql.execute("VACUUM items")
    assert on.run(on.postgres.vacuum, request, attempt=2).applied


def test_old_rows_are_frozen(on: OnPostgres) -> None:
    before = on.one("SELECT relfrozenxid::text::bigint FROM pg_class WHERE relname = 'items'")
    on.run(on.postgres.vacuum, on.vacuum(freeze=True))
    assert on.one("SELECT relfrozenxid::text::bigint FROM pg_class WHERE relname = 'items'") > before


def test_what_a_killed_worker_left_running_is_waited_for_and_not_done_again(on: OnPostgres) -> None:
    request = on.vacuum()
    with on.held(), killed(on, request) as backend:
        second = Background(lambda: on.run(on.postgres.vacuum, request, attempt=2))
        eventually(lambda: f"waits for an earlier attempt, session {backend}" in on.beats)
    change = second.end()
    assert (change.applied, on.vacuums) == (False, 1)
    assert not on.at_work(request.effect)


def test_what_a_killed_worker_left_and_somebody_ended_is_done_again(on: OnPostgres) -> None:
    request = on.vacuum()
    with on.held(), killed(on, request) as backend:
        second = Background(lambda: on.run(on.postgres.vacuum, request, attempt=2))
        eventually(lambda: on.beats)
        on.sql.execute("SELECT pg_terminate_backend(%s)", (backend,))
        on.wait_at_work(request.effect, but=backend)
    change = second.end()
    assert (change.applied, on.vacuums) == (True, 1)


def test_a_cancellation_ends_it_on_the_server(on: OnPostgres) -> None:
    request = on.vacuum()
    with on.held() as holder:
        running = Background(lambda: on.run(on.postgres.vacuum, request))
        on.wait_at_work(request.effect)
        eventually(lambda: f"waits for session {holder.info.backend_pid}" in on.beats)
        on.cancel()
        with pytest.raises(CancelledError):
            running.end()
        assert not on.at_work(request.effect)
    assert on.vacuums == 0


def test_a_cancellation_ends_what_a_killed_worker_left(on: OnPostgres) -> None:
    request = on.vacuum()
    with on.held(), killed(on, request):
        second = Background(lambda: on.run(on.postgres.vacuum, request, attempt=2))
        eventually(lambda: on.beats)
        on.cancel()
        with pytest.raises(CancelledError):
            second.end()
        eventually(lambda: not on.at_work(request.effect))


@pytest.mark.parametrize("how", ["timed out", "shutdown"])
def test_an_attempt_that_is_over_leaves_it_running(on: OnPostgres, how: str) -> None:
    request = on.vacuum()
    with on.held():
        running = Background(lambda: on.run(on.postgres.vacuum, request))
        on.wait_at_work(request.effect)
        if how == "shutdown":
            on.environments[-1].worker_shutdown()
        else:
            on.cancel(timed_out=True)
        with pytest.raises(Unavailable):
            running.end()
        assert on.at_work(request.effect)
    assert not on.run(on.postgres.vacuum, request, attempt=2).applied
    assert on.vacuums == 1


def test_it_takes_no_longer_than_it_may_over_all_attempts(on: OnPostgres) -> None:
    request = on.vacuum(within=timedelta(seconds=30))
    # Its last seconds may pass without a look at it, on a busy machine: then what was seen before is told.
    spent = [{"started_at": (on.now - timedelta(seconds=26)).isoformat(), "doing": "waits for session 7"}]
    with on.held(), pytest.raises(Refused, match=r"longer than 30 s \(waits for session") as failed:
        on.run(on.postgres.vacuum, request, beats=spent)
    assert failed.value.non_retryable
    assert not on.at_work(request.effect)


def test_what_a_statement_did_last_is_not_forgotten_when_it_has_just_ended(on: OnPostgres) -> None:
    progress = WorkProgress(doing="waits for session 7")
    with databases(primary=on.url).connect(OnServer(**AT)) as watch:
        ActivityEnvironment().run(going_on, watch, on.sql.info.backend_pid, progress)
    assert progress.doing == "waits for session 7"


def test_what_a_person_cancels_on_the_server_is_not_begun_again(on: OnPostgres) -> None:
    request = on.vacuum()
    with on.held():
        running = Background(lambda: on.run(on.postgres.vacuum, request))
        on.sql.execute("SELECT pg_cancel_backend(%s)", (on.wait_at_work(request.effect),))
        with pytest.raises(Refused, match="somebody cancelled it"):
            running.end()


def test_in_plan_mode_nothing_is_vacuumed(on: OnPostgres) -> None:
    change = on.run(on.postgres.vacuum, on.vacuum(an_effect(dry_run=True)))
    assert (change.applied, on.vacuums) == (False, 0)


def test_a_table_that_is_gone(on: OnPostgres) -> None:
    with pytest.raises(NotFound, match=r"public\.nothing"):
        on.run(on.postgres.vacuum, on.vacuum(table="nothing"))


def test_a_server_that_settings_do_not_have(on: OnPostgres) -> None:
    with pytest.raises(Misconfigured, match="primary"):
        on.run(on.postgres.vacuum, on.vacuum(server="secondary"))


def test_a_server_that_is_killed_meanwhile_and_comes_back(own_postgres: OwnPostgres) -> None:
    own_postgres.start()
    with ExitStack() as stack:
        on = OnPostgres(own_postgres.url(), stack)
        request = on.vacuum()
        with on.held():
            running = Background(lambda: on.run(on.postgres.vacuum, request))
            on.wait_at_work(request.effect)
            own_postgres.stop(signal.SIGQUIT)
            with pytest.raises(Unavailable, match="tensafe/primary"):
                running.end()
        with pytest.raises(Unavailable):
            on.run(on.postgres.vacuum, request, attempt=2)
        own_postgres.start()
        on.sql = on.connect("test")
        assert on.run(on.postgres.vacuum, request, attempt=3).applied
        assert on.vacuums == 1


# -- reindex -------------------------------------------------------------------------------------------------


def test_an_index_is_rebuilt_once(on: OnPostgres) -> None:
    request = on.reindex()
    change = on.run(on.postgres.reindex, request)
    rebuilt = on.oid()
    assert (change.applied, rebuilt != request.oid) == (True, True)
    again = on.run(on.postgres.reindex, request, attempt=2)
    assert (again.applied, on.oid()) == (False, rebuilt)
    assert on.indexes == {"items_name": True, "items_pkey": True}


def test_writes_go_on_while_an_index_is_rebuilt(on: OnPostgres) -> None:
    request = on.reindex()
    with on.held(WRITER):
        running = Background(lambda: on.run(on.postgres.reindex, request))
        on.wait_at_work(request.effect)
        on.connect("service").execute("SET lock_timeout = '1s'; UPDATE items SET name = 'x' WHERE id = 7")
        eventually(lambda: any("waiting for writers before build" in beat for beat in on.beats))
    assert running.end().applied


def test_a_rebuild_that_a_killed_worker_left_is_waited_for(on: OnPostgres) -> None:
    request = on.reindex()
    with on.held(WRITER), killed(on, request):
        second = Background(lambda: on.run(on.postgres.reindex, request, attempt=2))
        eventually(lambda: on.beats)
        assert "items_name_ccnew" in on.indexes
    change = second.end()
    assert not change.applied
    assert on.indexes == {"items_name": True, "items_pkey": True}


@pytest.mark.parametrize(
    ("statement", "left", "applied"), [(WRITER, "items_name_ccnew", True), (READER, "items_name_ccold", False)]
)
def test_what_a_crash_left_is_dropped_and_redone_only_where_it_must(
    on: OnPostgres, statement: str, left: str, *, applied: bool
) -> None:
    request = on.reindex()
    with on.held(statement):
        running = Background(lambda: on.run(on.postgres.reindex, request))
        on.sql.execute("SELECT pg_terminate_backend(%s)", (on.wait_at_work(request.effect),))
        with pytest.raises(Unavailable):
            running.end()
    assert on.indexes[left] is False
    crashed = on.oid()
    change = on.run(on.postgres.reindex, request, attempt=2)
    assert change.applied is applied
    assert f"dropped {left}" in change.note
    assert on.indexes == {"items_name": True, "items_pkey": True}
    assert on.oid() != request.oid
    assert (on.oid() != crashed) is applied


def test_a_long_name_is_cut_by_postgresql_and_still_known(on: OnPostgres) -> None:
    name = "i" * 63
    on.sql.execute(f"ALTER INDEX items_name RENAME TO {name}")
    request = on.reindex(index=name, oid=on.oid(name))
    with on.held(WRITER):
        running = Background(lambda: on.run(on.postgres.reindex, request))
        on.sql.execute("SELECT pg_terminate_backend(%s)", (on.wait_at_work(request.effect),))
        with pytest.raises(Unavailable):
            running.end()
    assert list(on.indexes.values()).count(False) == 1
    on.run(on.postgres.reindex, request, attempt=2)
    assert on.indexes == {name: True, "items_pkey": True}


def test_what_somebody_else_builds_now_is_not_taken_for_a_leftover(on: OnPostgres) -> None:
    theirs = on.connect("dba")
    with on.held(WRITER):
        running = Background(lambda: theirs.execute("REINDEX INDEX CONCURRENTLY items_name"))
        eventually(lambda: "items_name_ccnew" in on.indexes)
        with pytest.raises(Conflict, match=f"session {theirs.info.backend_pid} builds an index"):
            on.run(on.postgres.reindex, on.reindex())
        leftover = DropLeftover(
            **AT, index_schema="public", index="items_name_ccnew", oid=on.oid("items_name_ccnew"), effect=an_effect()
        )
        with pytest.raises(Conflict):
            on.run(on.postgres.drop_leftover, leftover)
    running.end()
    assert on.indexes == {"items_name": True, "items_pkey": True}


def test_an_invalid_index_of_somebody_is_made_valid(on: OnPostgres) -> None:
    on.sql.execute("INSERT INTO items VALUES (1001, 'name 1')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        on.sql.execute("CREATE UNIQUE INDEX CONCURRENTLY items_unique ON items (name)")
    request = on.reindex(index="items_unique", oid=on.oid("items_unique"))
    with pytest.raises(Refused, match="duplicates by its key") as refused:
        on.run(on.postgres.reindex, request)
    assert "name 1" not in str(refused.value)
    on.delete(1)
    assert on.run(on.postgres.reindex, request, attempt=2).applied
    assert on.indexes == {"items_name": True, "items_pkey": True, "items_unique": True}


# -- what is left --------------------------------------------------------------------------------------------


def crashed(on: OnPostgres, statement: str = WRITER) -> None:
    request = on.reindex()
    with on.held(statement):
        running = Background(lambda: on.run(on.postgres.reindex, request))
        on.sql.execute("SELECT pg_terminate_backend(%s)", (on.wait_at_work(request.effect),))
        with pytest.raises(Unavailable):
            running.end()
    eventually(lambda: not on.at_work(request.effect))  # it says that it goes, and is there a moment longer


def test_a_leftover_is_dropped_once(on: OnPostgres) -> None:
    crashed(on)
    seen = on.oid("items_name_ccnew")
    request = DropLeftover(**AT, index_schema="public", index="items_name_ccnew", oid=seen, effect=an_effect())
    assert on.run(on.postgres.drop_leftover, request).applied
    assert not on.run(on.postgres.drop_leftover, request, attempt=2).applied
    assert on.indexes == {"items_name": True, "items_pkey": True}


def test_nothing_but_an_invalid_leftover_is_dropped(on: OnPostgres) -> None:
    crashed(on)
    for name, oid in (("items_name", on.oid()), ("items_name_ccnew", 1)):
        request = DropLeftover(**AT, index_schema="public", index=name, oid=oid, effect=an_effect())
        with pytest.raises(Refused, match="it stays"):
            on.run(on.postgres.drop_leftover, request)


def test_a_step_that_is_given_up_leaves_nothing(on: OnPostgres) -> None:
    request = on.reindex()
    stop = StopWork(**AT, work=request.effect.key, index_schema="public", index="items_name", effect=an_effect())
    with on.held(WRITER), killed(on, request):
        stopping = Background(lambda: on.run(on.postgres.stop_work, stop))
        eventually(lambda: not on.at_work(request.effect))
    change = stopping.end()
    assert (change.applied, change.after) == (True, "1 session ended; dropped items_name_ccnew")
    assert on.indexes == {"items_name": True, "items_pkey": True}
    again = on.run(on.postgres.stop_work, stop, attempt=2)
    assert (again.applied, again.after) == (False, "nothing was left")


def test_a_server_that_does_not_answer() -> None:
    postgres = Postgres(databases(primary="postgresql://u:secret@127.0.0.1:1/x"))
    request = StopWork(**AT, work="w", effect=an_effect())
    with pytest.raises(Unavailable, match="tensafe/primary did not answer") as failed:
        postgres.stop_work(request)
    assert "secret" not in str(failed.value)
