"""A pulse's warning is raised and resolved once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from activities.records.activities import Records
from activities.records.days import AlertsSince
from activities.records.pulse import RecordPulse
from tests.records_schema.fixtures import count, effect

NOW = datetime(2026, 11, 30, 17, tzinfo=UTC)


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
