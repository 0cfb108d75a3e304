"""Each of our services as a plain process, with the settings of the compose file, on real servers."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from sandbox.ports import free_port
from sandbox.temporal import Temporal
from sandbox.temporal_on_postgres import TemporalOnPostgres
from tests.deploy import docker_compose
from tests.deploy.processes import Places, Service

# The first of these tests may have to build `docker compose`.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def places(
    secrets: Path, own_temporal: Temporal | TemporalOnPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Places:
    return Places(
        compose=docker_compose.resolve(secrets),
        directory=tmp_path_factory.mktemp("machine"),
        elsewhere={"temporal:7233": own_temporal.address},
    )


@pytest.fixture(scope="module")
def migration(records_db: None, places: Places) -> Service:
    return places.service("records-migrate", {})


@pytest.fixture(scope="module")
def migrated(migration: Service) -> Service:
    answer = migration.job()
    assert answer.returncode == 0, answer.stderr
    return migration


@pytest.fixture
def new_worker(places: Places, migrated: Service) -> Callable[..., Service]:
    def new(**elsewhere: str) -> Service:
        metrics = f"127.0.0.1:{free_port()}"
        return places.service("worker", {"0.0.0.0:9464": metrics, "127.0.0.1:9464": metrics, **elsewhere})

    return new


@pytest.fixture
def webhook(places: Places) -> Service:
    port = str(free_port())
    return places.service(
        "webhook",
        {"127.0.0.1:8080": f"127.0.0.1:{port}"},
        RUNBOOKS_WEBHOOK__PORT=port,
        RUNBOOKS_WEBHOOK__HOST="127.0.0.1",
    )


@pytest.fixture
def as_worker(migrated: Service, secrets: Path) -> Iterator[psycopg.Connection]:
    with psycopg.connect((secrets / "records_url").read_text().strip(), autocommit=True) as connection:
        yield connection


def test_the_migration_runs_as_the_owner_and_again(migrated: Service) -> None:
    answer = migrated.job()

    assert (answer.returncode, answer.stdout) == (0, "up to date\n")


def test_workers_may_use_every_table(as_worker: psycopg.Connection[Any]) -> None:
    tables = as_worker.execute(
        "SELECT count(*), bool_and(has_table_privilege(format('runbooks.%I', tablename), 'SELECT, INSERT, UPDATE')) "
        "FROM pg_tables WHERE schemaname = 'runbooks'"
    ).fetchone()

    assert tables is not None
    assert tables[0] > 5
    assert tables[1]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE runbooks.audit_log DISABLE TRIGGER audit_log_is_append_only",
        "DROP TABLE runbooks.audit_log",
        "CREATE TABLE runbooks.mine (a int)",
        "CREATE OR REPLACE FUNCTION runbooks.refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "SET ROLE runbooks_owner",
    ],
)
def test_workers_may_not_touch_what_guards_the_audit_log(as_worker: psycopg.Connection[Any], statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_worker.execute(statement)


def test_two_workers_become_healthy_and_stop_in_time(new_worker: Callable[..., Service]) -> None:
    with new_worker().running() as first, new_worker().running() as second:
        first.wait_healthy()
        second.wait_healthy()

        first.stop()
        second.stop()


def test_a_worker_that_does_not_reach_temporal_is_not_healthy(new_worker: Callable[..., Service]) -> None:
    worker = new_worker(**{"temporal:7233": f"127.0.0.1:{free_port()}"})
    with worker.running() as running:
        while "does not answer yet" not in running.log.read_text():
            assert running.process.poll() is None, running.log.read_text()
            time.sleep(0.1)

        assert not worker.healthy()


def test_a_worker_without_its_secret_refuses_to_start(new_worker: Callable[..., Service]) -> None:
    answer = new_worker(**{"/run/secrets/records_url": "/run/secrets/nothing"}).job()

    assert answer.returncode == 2
    assert "records.url" in answer.stderr


def test_the_webhook_becomes_healthy_guards_its_door_and_stops_in_time(webhook: Service, secrets: Path) -> None:
    with webhook.running() as running:
        running.wait_healthy()
        base = f"http://127.0.0.1:{webhook.env['RUNBOOKS_WEBHOOK__PORT']}"
        nothing = {"version": "4", "groupKey": "{}", "status": "firing", "alerts": []}

        assert httpx.get(f"{base}/healthz").status_code == 200
        assert httpx.post(f"{base}/webhooks/alertmanager", json=nothing).status_code == 401
        token = {"Authorization": f"Bearer {(secrets / 'webhook_token').read_text()}"}
        assert httpx.post(f"{base}/webhooks/alertmanager", json=nothing, headers=token).status_code != 401
        running.stop()
