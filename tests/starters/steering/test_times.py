"""Durations and times as people type them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from starters.steering import times
from starters.steering.errors import WrongInput

NOW = datetime(2026, 11, 29, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("90s", 90),
        ("PT10M", 600),
        ("pt4h", 14_400),
        ("P7D", 604_800),
        ("600", 600),
        ("2 days", 172_800),
        ("10 minutes", 600),
        ("1w", 604_800),
        ("1:30", 90),
        (" 10m ", 600),
    ],
)
def test_durations(text: str, seconds: int) -> None:
    assert times.duration("--by", text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "P", "-10m", "1e9", "9" * 40, "99999999999999d", "10 parsecs", "10m\n; rm"]
)
def test_what_is_no_duration_is_told_with_examples(text: str) -> None:
    with pytest.raises(WrongInput) as raised:
        times.duration("--by", text)
    assert str(raised.value) == "--by: a duration is expected, such as 10m, 1h30m, 90s or PT10M"


def at(*fields: int, hours: int = 0) -> datetime:
    return datetime(*fields, tzinfo=timezone(timedelta(hours=hours)))  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("-1h", at(2026, 11, 29, 14, 30)),
        ("-PT2H", at(2026, 11, 29, 13, 30)),
        ("+30m", at(2026, 11, 29, 16, 0)),
        ("now", NOW),
        ("yesterday 14:00", at(2026, 11, 28, 14, 0)),
        ("Yesterday", at(2026, 11, 28)),
        ("tomorrow 2:00 Europe/Berlin", at(2026, 11, 30, 2, 0, hours=1)),
        ("14:00", at(2026, 11, 29, 14, 0)),
        ("2026-11-01", at(2026, 11, 1)),
        ("2026-11-01 Europe/Berlin", at(2026, 11, 1, hours=1)),
        ("2026-02-05 02:00 UTC", at(2026, 2, 5, 2, 0)),
        ("2026-07-05 02:00 Europe/Berlin", at(2026, 7, 5, 2, 0, hours=2)),
        ("2026-02-05T02:00:00Z", at(2026, 2, 5, 2, 0)),
        ("2026-02-05T02:00:00+03:00", at(2026, 2, 5, 2, 0, hours=3)),
        ("last monday 9am", at(2026, 11, 23, 9, 0)),
        ("3 days ago", at(2026, 11, 26, 15, 30)),
    ],
)
def test_times(text: str, meant: datetime) -> None:
    assert times.moment("--since", text, now=NOW) == meant


@pytest.mark.parametrize(
    "text", ["", "soon", "02/03/2026", "2026-02-30", "2026-13-01", "-", "-1 parsec", "-" + "9" * 30 + "d", "x" * 10_000]
)
def test_what_is_no_time_is_told_with_examples(text: str) -> None:
    with pytest.raises(WrongInput) as raised:
        times.moment("--since", text, now=NOW)
    for part in ("--since: a time is expected", "-1h", "yesterday 14:00", "Europe/Berlin"):
        assert part in str(raised.value)


@pytest.mark.parametrize("text", ["monday 02:00", "in two days", "last monday"])
def test_where_something_is_to_be_done_nobody_guesses_the_day(text: str) -> None:
    with pytest.raises(WrongInput):
        times.moment("starts_at", text, now=NOW, words=False)


@pytest.mark.parametrize(
    ("since", "until", "days"), [("2026-11-01", "2026-11-01", 1), ("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", 1)]
)
def test_a_day_alone_has_its_beginning_and_its_end(since: Any, until: Any, days: int) -> None:
    first, last = times.since("--since", since), times.until("--until", until)
    assert first is not None
    assert last is not None
    assert last - first == timedelta(days=days)
