"""What the records have of a day, and the figures by SQL files that may be another's."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.records.activities import Records
from activities.records.days import AlertsSince, KeepReport, ReportsRequest
from activities.records.figures import Figures, FiguresRequest
from activities.records.pulse import RecordPulse
from tests.records_schema.fixtures import count, effect

NOW = datetime(2026, 11, 30, 17, tzinfo=UTC)


@pytest.fixture
def records(records_pool: ConnectionPool[Any]) -> Records:
    return Records(records_pool)


def pulse(number: int, *, healthy: bool, dry_run: bool = False) -> RecordPulse:
    at = NOW + timedelta(hours=number)
    return RecordPulse(service="s", at=at, healthy=healthy, says="x", effect=effect(f"pulse-{number}", dry_run=dry_run))


def test_a_warning_is_raised_and_resolved_once(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    for number, healthy, before, after, applied in (
        (0, True, "healthy", "healthy", False),
        (1, False, "healthy", "warning", True),
        (2, False, "warning", "warning", False),
        (3, True, "warning", "healthy", True),
    ):
        for attempt in (1, 2):
            change = records.pulse(pulse(number, healthy=healthy))
            said = (change.before, change.after, change.applied)
            assert said == (before, after, applied and attempt == 1)
    assert not records.pulse(pulse(4, healthy=False, dry_run=True)).applied
    assert count(records_sql, "alerts") == 1
    (known,) = records.alerts_since(AlertsSince(service="s", since=NOW)).items
    assert (known.name, known.incident_id, known.resolved_at) == ("HourlyPulse", "", NOW + timedelta(hours=3))
    assert records.alerts_since(AlertsSince(service="s", since=NOW + timedelta(hours=4))).items == []


def test_the_first_report_of_a_day_stays(records: Records) -> None:
    def keep(step: str, errors: float) -> KeepReport:
        return KeepReport(
            service="s",
            day=NOW.date(),
            time_zone="Europe/Berlin",
            made_at=NOW,
            handoff="# s",
            effect=effect(step),
            figures={"errors": errors, "mrr": None},
        )

    assert records.keep_report(keep("first", 1)).applied
    assert records.keep_report(keep("first", 1)).note == ""
    second = records.keep_report(keep("second", 2))
    assert (second.applied, "wf-1 has kept one" in second.note) == (False, True)
    days = [NOW.date(), date(2026, 11, 29)]
    found = records.reports(ReportsRequest(service="s", days=days))
    assert found.of(days[1]) is None
    first = found.of(days[0])
    assert first is not None
    assert first.figures == {"errors": 1.0, "mrr": None}


# -- figures -------------------------------------------------------------------------------------------------

Read = Callable[..., tuple[float | None, str]]


@pytest.fixture
def read(records_pool: ConnectionPool[Any], tmp_path: Path) -> Read:
    def figure(name: str, at: datetime = NOW) -> tuple[float | None, str]:
        asked = FiguresRequest(names=[name], at=at, zone="Europe/Berlin")
        found = Figures(records_pool, tmp_path).read(asked)
        return found.values[name], found.errors.get(name, "")

    return figure


def test_our_own_figures(read: Read, records_sql: psycopg.Connection[Any]) -> None:
    assert read("mrr") == (None, "")
    records_sql.execute(
        "INSERT INTO runbooks.tenants (tenant_id, name, tier, email, created_at, status, monthly_revenue) VALUES "
        "('a', 'a', 'team', 'a@a.example', '2026-11-30 08:00+00', 'active', 10.5), "
        "('b', 'b', 'team', 'b@b.example', '2026-11-29 23:30+00', 'active', 4.5), "  # 00:30 of the 30th in Berlin
        "('c', 'c', 'team', 'c@c.example', '2026-11-29 08:00+00', 'closed', 100)"
    )
    for tenant, at in (("a", "2026-11-30 08:30+00"), ("a", "2026-11-30 09:30+00"), ("b", "2026-11-28 09:30+00")):
        records_sql.execute("SELECT runbooks.record_usage(%s, 'api_call', at => %s)", (tenant, at))
    assert (read("mrr"), read("new_customers"), read("dau")) == ((15.0, ""), (2.0, ""), (1.0, ""))


def test_an_operators_file_takes_the_place_of_ours(read: Read, tmp_path: Path) -> None:
    (tmp_path / "mrr.sql").write_text("SELECT 42 WHERE %(at)s IS NOT NULL AND %(zone)s = 'Europe/Berlin'", "utf-8")
    assert read("mrr") == (42.0, "")
    for text, why in (
        ("SELECT 1, 2", "it must give one row of one number"),
        ("SELECT 'none'", "ValueError"),
        ("DELETE FROM runbooks.tenants RETURNING 1", "it writes, and figures only read"),
        ("SELECT nothing", "the records' schema or role does not fit"),
        ("SELECT 1 / 0", "the records refuse it: a value can't be kept"),
    ):
        (tmp_path / "mrr.sql").write_text(text, "utf-8")
        value, error = read("mrr")
        assert (value, error.startswith(f"mrr.sql: {why}")) == (None, True), error
    assert read("dau") == (0.0, "")
    assert read("none_of_ours")[1] == "none_of_ours.sql: FileNotFoundError"
