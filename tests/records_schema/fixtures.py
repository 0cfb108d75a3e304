"""Databases with and without the records' schema on the session's PostgreSQL, and one that a test may break."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.common.effects import Effect
from records_schema.pool import BoundedConnection, connect_pool
from tests.records_schema.own_server import OwnPostgres
from tests.servers import CreateDatabase


@pytest.fixture
def own_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnPostgres]:
    """A server of the test's own, not started yet."""
    server = OwnPostgres(tmp_path_factory.mktemp("own-postgres"))
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture
def empty_database_url(create_database: CreateDatabase) -> str:
    return create_database()


@pytest.fixture
def records_url(create_database: CreateDatabase, records_template: str) -> str:
    return create_database(records_template)


@pytest.fixture
def records_pool(records_url: str) -> Iterator[ConnectionPool[BoundedConnection]]:
    with connect_pool(records_url, max_size=8) as opened:
        yield opened


@pytest.fixture
def records_sql(records_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(records_url, autocommit=True) as connection:
        yield connection


def effect(step: str = "step", *, dry_run: bool = False) -> Effect:
    """Effects of one run differ by their step."""
    return Effect(key=f"wf-1/run-1/{step}", workflow_id="wf-1", run_id="run-1", actor="ada", dry_run=dry_run)


def count(sql: psycopg.Connection[Any], table: str) -> int:
    row = sql.execute(f"SELECT count(*) FROM runbooks.{table}").fetchone()
    assert row is not None
    return int(row[0])
