"""Runs are found by everything, alike in the archive and out of it, and by an index."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool
from rich.progress import Progress

from audit.store import Store
from audit.store_filter import Filter
from bench.archive_rows import fill
from sandbox.probes import wait_until
from tests.audit.archived import CASES
from tests.audit.stories import BEGAN

_USED = "SELECT indexrelname FROM pg_stat_user_indexes WHERE schemaname = 'runbooks' AND idx_scan > 0"


QUESTIONS = {
    Filter(severity="P1"): {1},
    Filter(incident="INC-1"): {1},
    Filter(status="failed"): {1},
    Filter(outcome="rolled back"): {2, 3, 4, 5},
    Filter(procedure="P1Incident"): {2},
    Filter(tenant="acme"): {2},
    Filter(target="deployment/tensafe-server"): {3},
    Filter(target="tensafe-server"): {3},
    Filter(target="tensafe"): set(),
    Filter(service="billing"): {4},
    Filter(actor="bob@tensafe.io"): {4},
    Filter(actor="ada@tensafe.io", severity=""): {1, 2, 3, 5},
    Filter(parent_run="run-1"): {5},
    Filter(first_run_id="run-4"): {4, 5},
    Filter(since=BEGAN + timedelta(minutes=4)): {4, 5},
    Filter(until=BEGAN + timedelta(minutes=2)): {1},
    Filter(since=BEGAN + timedelta(minutes=2), until=BEGAN + timedelta(minutes=4), service="tensafe-server"): {2, 3},
    Filter(): {1, 2, 3, 4, 5},
}


def test_runs_are_found_by_everything_and_alike_in_the_archive_and_out_of_it(cases: Store) -> None:
    for wanted, numbers in QUESTIONS.items():
        assert list(cases.stories(wanted)) == [CASES[number] for number in sorted(numbers)], wanted
        assert {number for number, told in CASES.items() if wanted.matches(told)} == numbers, wanted


def test_searches_of_a_large_archive_go_by_an_index(
    records_url: str,
    records_pool: ConnectionPool[Any],
    records_sql: psycopg.Connection[Any],
) -> None:
    """With 30,000 records PostgreSQL would rather read all of them than sort what a wrong index gives."""
    with psycopg.connect(records_url, autocommit=True) as sql:
        fill(sql, 30_000, Progress(disable=True))
    archive, began = Store(records_pool), datetime(2026, 1, 1, tzinfo=UTC)
    tenant = Filter(tenant="acme")

    assert [found.run.workflow_id for found in archive.stories(Filter(service="service-7", actor="person-7"))] != []
    assert list(archive.stories(tenant)) == []
    span = archive.part(began + timedelta(seconds=20_000), began + timedelta(seconds=20_010))

    # What a connection has counted is known some time after its end.
    records_pool.close()
    wanted = {"archive_index_of_a_service", "archive_index_of_a_tenant", "archive_index_by_end"}
    wait_until(lambda: wanted <= {name for (name,) in records_sql.execute(_USED).fetchall()})
    assert span == range(20_000, 20_010)
