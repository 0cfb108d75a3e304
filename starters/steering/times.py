"""Durations and times as people type them, here and nowhere else.

`pytimeparse` reads durations, `dateparser` what is said in words; the latter takes a third of a second to import, so it
is asked only about what the standard library can't read.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from activities.common.times import FIRST, LAST
from starters.steering.errors import WrongInput

DURATIONS = "a duration is expected, such as 10m, 1h30m, 90s or PT10M"
TIMES = "a time is expected, such as 2026-11-01 14:00 Europe/Berlin, 2026-11-01T03:00:00Z, -1h or yesterday 14:00"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LONGEST = 200


def duration(name: str, text: str) -> timedelta:
    """Read a duration; a number alone is seconds, `1:30` is ninety seconds.

    Raises:
        WrongInput: it is none; gives examples.

    """
    text = text.strip()
    read = _iso(text) if text[:1] in {"P", "p", "-", "+"} else _spoken(text)
    if read is None:
        raise WrongInput(f"{name}: {DURATIONS}")
    return read


def moment(name: str, text: str, *, now: datetime | None = None, words: bool = True) -> datetime:
    """Read a time; a date alone is its beginning, what has no zone is UTC, and `-1h` is an hour ago.

    With `words`, what is behind us can also be said: `last Monday 9am`. Where something is to be done at that time,
    nobody must have to guess which Monday that is.

    Raises:
        WrongInput: it is none; gives examples.

    """
    now = now or datetime.now(UTC)
    text = " ".join(text[:_LONGEST].split())
    read = _relative(text, now) or _exact(text, now) or (_in_words(text, now) if words else None)
    if read is None or not FIRST <= read <= LAST:
        raise WrongInput(f"{name}: {TIMES}")
    return read


def is_date(text: str) -> bool:
    """Tell whether it names a day and no time of it."""
    return _DATE.fullmatch(text.strip()) is not None or text.strip().lower() in {"today", "yesterday", "tomorrow"}


def since(option: str, text: str | None) -> datetime | None:
    """Read when something begins; a date alone is its beginning.

    Raises:
        WrongInput: it is no time; gives examples.

    """
    return None if text is None else moment(option, text)


def until(option: str, text: str | None) -> datetime | None:
    """Read when something ends; a date alone is its end, so that the day is in it.

    Raises:
        WrongInput: it is no time; gives examples.

    """
    if text is None:
        return None
    return moment(option, text) + (timedelta(days=1) if is_date(text) else timedelta(0))


def _iso(text: str) -> timedelta | None:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    try:
        return TypeAdapter(timedelta).validate_python(text.upper()) if "P" in text.upper() else None
    except ValidationError:
        return None


def _spoken(text: str) -> timedelta | None:
    if _NUMBER.fullmatch(text):
        return _seconds(float(text))
    from pytimeparse.timeparse import timeparse  # noqa: PLC0415

    told = timeparse(text)
    return None if told is None else _seconds(told)


def _seconds(seconds: float) -> timedelta | None:
    try:
        return timedelta(seconds=seconds)
    except OverflowError:
        return None


def _relative(text: str, now: datetime) -> datetime | None:
    """Read `-1h` and `+30m`, and `now`."""
    if text.lower() == "now":
        return now
    if text[:1] not in {"-", "+"}:
        return None
    span = _iso(text[1:]) or _spoken(text[1:])
    if span is None:
        return None
    try:
        return now - span if text[0] == "-" else now + span
    except OverflowError:
        return None


def _zoned(text: str) -> tuple[str, tzinfo]:
    """Take the name of a zone off the end."""
    rest, _, last = text.rpartition(" ")
    if rest and (last == "UTC" or "/" in last):
        try:
            return rest, ZoneInfo(last)
        except (KeyError, ValueError, OSError):
            pass
    return text, UTC


def _exact(text: str, now: datetime) -> datetime | None:
    text, zone = _zoned(text)
    day, _, clock = text.rpartition(" ")
    if not text:
        return None
    named = {"": 0, "today": 0, "yesterday": -1, "tomorrow": 1}
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time(), tzinfo=zone)
        if text.lower() in named:
            day, clock = text, "00:00"
        if day.lower() in named and _CLOCK.fullmatch(clock):
            on = now.astimezone(zone).date() + timedelta(days=named[day.lower()])
            return datetime.combine(on, time.fromisoformat(clock.zfill(5)), tzinfo=zone)
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=zone)


def _in_words(text: str, now: datetime) -> datetime | None:
    """Read `last Monday 9am`, `3 days ago`: what the standard library has no grammar for."""
    if not re.search(r"[A-Za-z]{2}", text):
        return None
    import dateparser  # noqa: PLC0415

    text, zone = _zoned(text)
    here = now.astimezone(zone)
    told = dateparser.parse(
        text,
        languages=["en"],
        settings={
            "RELATIVE_BASE": here.replace(tzinfo=None),
            "PREFER_DATES_FROM": "past",
            "STRICT_PARSING": False,
            "RETURN_AS_TIMEZONE_AWARE": False,
        },
    )
    if told is None:
        return None
    return told if told.tzinfo else told.replace(tzinfo=zone)


def written(span: timedelta) -> str:
    """Write a duration so that `duration` reads it, as ISO 8601 has it: `PT30M`, `P1DT2H`."""
    days, rest = divmod(int(span.total_seconds()), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    clock = "".join(f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if number)
    return f"P{f'{days}D' if days else ''}{f'T{clock}' if clock else ''}" if days or clock else "PT0S"
