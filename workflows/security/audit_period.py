"""The period that an audit is about, as people and schedules write it; whole days of UTC."""

import re
from calendar import monthrange
from datetime import date, timedelta

from pydantic import BaseModel

_FORMS = "expected e.g. '2025-01-01 to 2025-12-31', 2025, 2025-Q4, 2025-12, last-quarter or last-year"
_BETWEEN = re.compile(r"(\d{4}-\d{2}-\d{2})\s+to\s+(\d{4}-\d{2}-\d{2})")
_PART = re.compile(r"(\d{4})(?:-(?:Q([1-4])|(\d{2})))?")
_LONGEST = timedelta(days=3 * 366)
_OLDEST = 2000
LAST_QUARTER, LAST_YEAR = "last-quarter", "last-year"


class AuditPeriod(BaseModel):
    """First and last day, both included."""

    start: date
    end: date

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"


def checked(text: str) -> str:
    """Refuse what is no period, as far as that can be told without knowing the day.

    Raises:
        ValueError: it can't be meant; says what can.

    """
    period(text, date(9999, 12, 31))
    return text


def period(text: str, today: date) -> AuditPeriod:
    """Read a period; what is relative is relative to `today`.

    Raises:
        ValueError: it is none, ends before it begins, is longer than three years, or isn't over yet.

    """
    found = _read(text.strip(), today)
    if found.end < found.start:
        raise ValueError(f"it ends ({found.end}) before it begins ({found.start})")
    if found.start.year < _OLDEST or found.end - found.start > _LONGEST:
        raise ValueError(f"longer than three years, or before {_OLDEST}")
    if found.end >= today:
        raise ValueError(f"its last day, {found.end}, is not over yet (UTC): what it has is not whole")
    return found


def _read(text: str, today: date) -> AuditPeriod:
    if text == LAST_YEAR:
        return AuditPeriod(start=date(today.year - 1, 1, 1), end=date(today.year - 1, 12, 31))
    if text == LAST_QUARTER:
        end = date(today.year, 3 * ((today.month - 1) // 3) + 1, 1) - timedelta(days=1)
        return AuditPeriod(start=date(end.year, end.month - 2, 1), end=end)
    try:
        if between := _BETWEEN.fullmatch(text):
            return AuditPeriod(start=date.fromisoformat(between[1]), end=date.fromisoformat(between[2]))
        if part := _PART.fullmatch(text):
            return _part(int(part[1]), part[2], part[3])
    except ValueError:
        pass
    raise ValueError(_FORMS)


def _part(year: int, quarter: str | None, month: str | None) -> AuditPeriod:
    first, last = 1, 12
    if quarter:
        first, last = int(quarter) * 3 - 2, int(quarter) * 3
    elif month:
        first = last = int(month)
    return AuditPeriod(start=date(year, first, 1), end=date(year, last, monthrange(year, last)[1]))
