"""What the records do while PostgreSQL is down, hung, restarting or not migrated; on a server of their own."""

import secrets
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

import records_schema
from activities.common.effects import Change
from activities.common.errors import Misconfigured, Unavailable
from activities.records.activities import Records
from activities.records.incidents import CreateIncident
from activities.records.on_call import OnCallRequest
from records_schema.pool import connect_pool
from tests.plugins.patience import HANGS
from tests.records_schema.fixtures import effect
from tests.records_schema.own_server import OwnPostgres, migrated

pytestmark = pytest.mark.servers

LIMIT = 20.0
"""Seconds; two on a free machine, and no end of them where somebody waits for the server."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgres]:
    with migrated(tmp_path_factory.mktemp("own-postgres")) as own:
        yield own


@pytest.fixture
def pool(server: OwnPostgres) -> Iterator[ConnectionPool[Any]]:
    with connect_pool(server.url(), max_size=6) as opened:
        yield opened


def create(incident_id: str) -> CreateIncident:
    return CreateIncident(
        incident_id=incident_id,
        severity="P1",
        title="API down",
        service="s",
        commander="grace",
        opened_at=datetime.now(UTC),
        effect=effect(f"create-{incident_id}"),
    )


def fails_soon(records: Records) -> Unavailable:
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        records.create_incident(create("INC-late"))
    assert time.monotonic() - began < LIMIT
    assert not caught.value.non_retryable
    return caught.value


def fill(pool: ConnectionPool[Any]) -> None:
    """Have all of the pool's connections open."""
    barrier = threading.Barrier(6)

    def hold() -> None:
        with pool.connection() as connection:
            connection.execute("SELECT 1")
            barrier.wait(60)

    threads = [threading.Thread(target=hold) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pool.get_stats()["pool_size"] == 6


def test_the_pool_starts_before_the_server_does(server: OwnPostgres) -> None:
    server.stop()
    try:
        began = time.monotonic()
        with connect_pool(server.url()) as pool:
            assert time.monotonic() - began < LIMIT
            records = Records(pool)
            error = fails_soon(records)
            assert error.message == "the records (PostgreSQL) did not answer (PoolTimeout)"
            assert server.password not in repr(error)
            server.start()
            assert records.create_incident(create(secrets.token_hex(4))).applied
    finally:
        if not server.running:
            server.start()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_restart_is_not_noticed_with_a_pool_full_of_dead_connections(
    server: OwnPostgres, pool: ConnectionPool[Any], how: signal.Signals
) -> None:
    records = Records(pool)
    fill(pool)
    server.stop(how)
    server.start()
    for _ in range(8):
        assert records.create_incident(create(secrets.token_hex(4))).applied


def test_it_is_back_at_once_after_a_long_outage(server: OwnPostgres, pool: ConnectionPool[Any]) -> None:
    records = Records(pool)
    fill(pool)
    server.stop()
    try:
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            fails_soon(records)
    finally:
        server.start()
    assert records.create_incident(create(secrets.token_hex(4))).applied, "not after a back-off as long as the outage"


def test_a_frozen_server_costs_no_more_than_a_dead_one(server: OwnPostgres, pool: ConnectionPool[Any]) -> None:
    records = Records(pool)
    records.on_call(OnCallRequest(rotation="primary", at=datetime.now(UTC)))
    frozen = server.freeze()
    try:
        for _ in range(2):
            fails_soon(records)
    finally:
        server.thaw(frozen)
    deadline = time.monotonic() + HANGS
    while True:
        try:
            assert records.create_incident(create(secrets.token_hex(4))).applied
            break
        except Unavailable:
            assert time.monotonic() < deadline


def test_an_effect_waiting_for_a_lock_gives_up_soon(server: OwnPostgres, pool: ConnectionPool[Any]) -> None:
    records = Records(pool)
    incident = create(secrets.token_hex(4))
    with psycopg.connect(server.url()) as other:
        other.execute("LOCK TABLE runbooks.incidents IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        with pytest.raises(Unavailable):
            records.create_incident(incident)
        assert time.monotonic() - began < LIMIT
    assert records.create_incident(incident).applied


def test_effects_survive_a_server_that_is_killed_again_and_again(
    server: OwnPostgres, pool: ConnectionPool[Any]
) -> None:
    records = Records(pool)
    stop = threading.Event()
    done: dict[str, list[Change]] = {}

    def work(worker: int) -> None:
        number = 0
        while not stop.is_set():
            request = create(f"INC-{worker}-{number}")
            while request.incident_id not in done:
                try:
                    first = records.create_incident(request)
                    done[request.incident_id] = [first, records.create_incident(request)]
                except Unavailable:
                    time.sleep(0.02)
            number += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for _ in range(3):
        time.sleep(0.4)
        server.stop(signal.SIGQUIT)
        server.start()
    time.sleep(0.4)
    stop.set()
    for worker in workers:
        worker.join(120)
        assert not worker.is_alive()
    assert len(done) > 5
    assert all(not second.applied for _, second in done.values())
    with psycopg.connect(server.url()) as connection:
        rows = connection.execute(
            "SELECT i.incident_id, count(a.id) FROM runbooks.incidents i "
            "LEFT JOIN runbooks.audit_log a ON a.target = 'incident/' || i.incident_id "
            "WHERE i.incident_id LIKE 'INC-_-%' GROUP BY 1"
        ).fetchall()
    assert dict(rows) == dict.fromkeys(done, 1)


def test_a_missing_schema_says_what_to_do(server: OwnPostgres) -> None:
    with (
        connect_pool(server.create_database()) as pool,
        pytest.raises(Misconfigured, match="python -m records_schema migrate"),
    ):
        Records(pool).create_incident(create("INC-1"))


def test_a_bad_url_is_refused_without_repeating_it() -> None:
    with pytest.raises(records_schema.DatabaseError) as caught:
        connect_pool("mysql://root:hunter2@db/x")
    assert "hunter2" not in str(caught.value)
