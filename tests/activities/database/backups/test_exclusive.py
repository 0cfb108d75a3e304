"""A lock that lives as long as the attempt that holds it."""

import threading
import time
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Conflict, Unavailable
from activities.database.backups import exclusive as module
from activities.database.backups.exclusive import exclusive
from tests.plugins.patience import HANGS


def test_one_at_a_time(records_pool: ConnectionPool[Any]) -> None:
    inside: list[int] = []
    most: list[int] = []

    def attempt(number: int) -> None:
        def hold() -> None:
            with exclusive(records_pool, "restore/a", "another") as check:
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.3)
                check()
                inside.remove(number)

        ActivityEnvironment().run(hold)

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]


def test_whoever_has_it_too_long_is_named(records_pool: ConnectionPool[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAIT", 0.1)

    def twice() -> None:
        with (
            exclusive(records_pool, "restore/b", "the first"),
            exclusive(records_pool, "restore/b", "another restore into b"),
        ):
            pass

    with pytest.raises(Conflict, match="another restore into b is under way"):
        ActivityEnvironment().run(twice)


def test_a_lost_lock_ends_the_attempt(
    records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ASK_EVERY", 0.05)

    def attempt() -> None:
        with exclusive(records_pool, "restore/c", "another") as check:
            records_sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            deadline = time.monotonic() + HANGS
            while time.monotonic() < deadline:
                check()
                time.sleep(0.02)

    with pytest.raises(Unavailable):
        ActivityEnvironment().run(attempt)
