"""A population has whole days of a period, and whoever has it draws the same from it."""

import csv
import hashlib
import io
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.compliance.populations import EFFECTS, SOURCES, Period, count, drawn, named, snapshot, stamp, whole
from tests.activities.compliance.packaging import END, START, year

YEAR = Period(START, END)
(LOG,) = named([EFFECTS])
(DEPLOYMENTS,) = named(["deployments"])


def test_a_period_has_its_last_day_whole() -> None:
    bounds = Period(date(2025, 12, 31), date(2025, 12, 31)).bounds
    assert bounds == {"since": datetime(2025, 12, 31, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)}


def test_sources_are_given_in_their_own_order_whatever_is_asked() -> None:
    assert [one.name for one in named(["effects", "runs", "nothing"])] == ["runs", "effects"]
    assert len({one.name for one in SOURCES}) == len({one.file for one in SOURCES}) == len(SOURCES)


def test_a_source_says_where_it_is_from() -> None:
    runs, log = named(["scaling_runs", EFFECTS])
    assert runs.source == (
        "archive_index, by ended_at, where procedure IN ('ManualScaleUp', 'EmergencyScaleUp', 'AddGpuNode')"
    )
    assert (log.source, log.file, runs.file) == ("audit_log, by at", "audit-log.json", "populations/scaling_runs.csv")


def test_a_time_is_written_in_utc_to_the_microsecond() -> None:
    east = datetime(2026, 1, 1, 1, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert stamp(east) == "2025-12-31T23:00:00.000005Z"


@pytest.fixture
def entered(records_pool: ConnectionPool[Any], records_sql: psycopg.Connection[Any]) -> ConnectionPool[Any]:
    year(records_sql)
    return records_pool


def test_only_what_is_of_the_period_counts(entered: ConnectionPool[Any]) -> None:
    with snapshot(entered) as cursor:
        assert (count(cursor, LOG, YEAR), count(cursor, DEPLOYMENTS, YEAR)) == (120, 60)
        assert count(cursor, LOG, Period(date(2026, 1, 1), date(2026, 1, 1))) == 1
        assert count(cursor, LOG, Period(date(2024, 1, 1), date(2024, 12, 31))) == 0


def test_a_draw_is_of_the_smallest_digests_and_another_seed_gives_another(entered: ConnectionPool[Any]) -> None:
    with snapshot(entered) as cursor:
        found = drawn(cursor, DEPLOYMENTS, YEAR, seed="s", most=25)
        other = drawn(cursor, DEPLOYMENTS, YEAR, seed="t", most=25)
        few = drawn(cursor, DEPLOYMENTS, YEAR, seed="s", most=500)
        rows = list(csv.DictReader(io.StringIO(b"".join(whole(cursor, DEPLOYMENTS, YEAR)).decode())))
    ranks = sorted((hashlib.sha256(f"s/deployments/{row['id']}".encode()).hexdigest(), row["id"]) for row in rows)
    assert [(one.rank, one.id) for one in found.samples] == ranks[:25]
    assert [one.id for one in other.samples] != [one.id for one in found.samples]
    assert (found.count, few.count, len(few.samples), len(rows)) == (60, 60, 60, 60)
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
