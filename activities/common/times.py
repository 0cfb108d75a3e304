"""The one kind of time and span that comes from outside: one that can be reckoned with.

Python's calendar ends with the years 1 and 9999, and a step beyond them is an `OverflowError`: in a run's task it fails
the task again and again, and the run is stuck for good. Temporal's timers reach 292 years. So every time and span that
people or other systems fill in is `Annotated[…, Time()]`, and what has passed it can be added to, shown in any zone and
waited for.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import core_schema

FIRST, LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)
LONGEST = timedelta(days=36_525)
_TOO_LONG = f"is longer than {LONGEST.days} days"

_When = TypeVar("_When", datetime, date)


@dataclass(frozen=True)
class Time:
    """Marks a `datetime`, a `date` or a `timedelta` from outside, or one that may be None.

    Raises `ValueError` (as pydantic's `ValidationError`) beyond the years 1900 to 2199, or a hundred years.
    """

    made_fit: bool = False
    """Move into the years instead of refusing, and take what has no zone as UTC: for what machines send."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Check after pydantic."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        if isinstance(value, timedelta):
            if abs(value) > LONGEST and not self.made_fit:
                raise ValueError(_TOO_LONG)
            return max(-LONGEST, min(value, LONGEST))
        if isinstance(value, datetime):
            return self._within(value, value if value.tzinfo else value.replace(tzinfo=UTC), FIRST, LAST)
        if isinstance(value, date):
            return self._within(value, value, FIRST.date(), LAST.date())
        return value

    def _within(self, given: _When, at: _When, first: _When, last: _When) -> _When:
        if self.made_fit:
            return max(first, min(at, last))
        if not first <= at <= last:
            raise ValueError(f"is outside of the years {first.year} to {last.year}")
        return given


def too_long(settings: BaseModel) -> str:
    """Name the spans of a model of settings that are longer than any that counts; empty where none is."""
    spans = [name for name, value in settings if isinstance(value, timedelta) and abs(value) > LONGEST]
    return "; ".join(f"{name}: {_TOO_LONG}" for name in spans)
