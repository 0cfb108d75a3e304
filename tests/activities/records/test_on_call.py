"""Who is on duty, at each level and time."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from activities.records.activities import Records
from activities.records.on_call import OnCallRequest


@pytest.fixture
def rotation(records_sql: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    records_sql.execute("INSERT INTO runbooks.on_call_rotations VALUES ('primary', 'team@tensafe.io')")
    records_sql.execute(
        "INSERT INTO runbooks.on_call_contacts (name, email) "
        "VALUES ('ada', 'ada@tensafe.io'), ('bob', 'bob@tensafe.io')"
    )
    shift(records_sql, 1, "ada", "[2026-03-01 00:00Z, 2026-03-01 08:00Z)")
    shift(records_sql, 1, "bob", "[2026-03-01 08:00Z, 2026-03-01 16:00Z)")
    shift(records_sql, 2, "bob", "[2026-03-01 00:00Z, 2026-03-01 08:00Z)")
    return records_sql


def shift(sql: psycopg.Connection[Any], level: int, contact: str, during: str) -> None:
    sql.execute(
        "INSERT INTO runbooks.on_call_shifts (rotation, level, contact, during) VALUES ('primary', %s, %s, %s)",
        (level, contact, during),
    )


@pytest.mark.usefixtures("rotation")
@pytest.mark.parametrize(
    ("rotation_name", "hour", "level", "expected"),
    [
        ("primary", 3, 1, ("ada", "ada@tensafe.io")),
        ("primary", 8, 1, ("bob", "bob@tensafe.io")),  # a shift's end belongs to the next
        ("primary", 3, 2, ("bob", "bob@tensafe.io")),
        ("primary", 20, 1, ("primary", "team@tensafe.io")),
        ("primary", 3, 3, ("primary", "team@tensafe.io")),
        ("database", 3, 1, ("database", "")),
    ],
)
def test_who_is_on_duty(records: Records, rotation_name: str, hour: int, level: int, expected: tuple[str, str]) -> None:
    at = datetime(2026, 3, 1, hour, tzinfo=UTC)
    duty = records.on_call(OnCallRequest(rotation=rotation_name, at=at, level=level))
    assert (duty.name, duty.email, duty.level) == (*expected, level)


def test_shifts_of_a_level_cannot_overlap(rotation: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.ExclusionViolation, match="one_person_a_level_at_a_time"):
        shift(rotation, 1, "bob", "[2026-03-01 07:59Z, 2026-03-01 09:00Z)")
    with pytest.raises(psycopg.errors.CheckViolation, match="shift_has_a_beginning_and_an_end"):
        shift(rotation, 1, "bob", "[2026-04-01 00:00Z,)")
