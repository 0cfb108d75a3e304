"""Periods are read as people write them, and today is not over."""

from datetime import date

import pytest

from workflows.security.audit_period import period

TODAY = date(2026, 2, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("last-quarter", "2025-10-01 to 2025-12-31"),
        ("last-year", "2025-01-01 to 2025-12-31"),
        ("2025-Q2", "2025-04-01 to 2025-06-30"),
        ("2024-02", "2024-02-01 to 2024-02-29"),
        ("2025", "2025-01-01 to 2025-12-31"),
        ("2026-02-03 to 2026-02-03", "2026-02-03 to 2026-02-03"),
    ],
)
def test_periods_are_read_as_people_write_them(text: str, expected: str) -> None:
    assert str(period(text, TODAY)) == expected


def test_today_is_not_over() -> None:
    with pytest.raises(ValueError, match="not over yet"):
        period("2026-02-01 to 2026-02-04", TODAY)
