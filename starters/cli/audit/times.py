"""Dates and times as people type them."""

import re
from datetime import UTC, date, datetime, time, timedelta

from starters.cli.people import Exit, Stop

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def since(option: str, text: str | None) -> datetime | None:
    """Read a time; a date alone is its beginning. UTC where no zone is told.

    Raises:
        Stop: it is neither.

    """
    return None if text is None else _read(option, text)


def until(option: str, text: str | None) -> datetime | None:
    """Read a time; a date alone is its end, so that the day is in it.

    Raises:
        Stop: it is neither.

    """
    if text is None:
        return None
    return _read(option, text) + (timedelta(days=1) if _DATE.fullmatch(text.strip()) else timedelta(0))


def _read(option: str, text: str) -> datetime:
    text = text.strip()
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
        told = datetime.fromisoformat(text)
    except ValueError:
        sentence = f"{option}: {text!r} is neither a date like 2026-11-01 nor a time like 2026-11-01T03:00:00Z"
        raise Stop(Exit.USAGE, sentence) from None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
