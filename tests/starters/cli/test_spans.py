"""Spans and times are short, and name their day where it isn't today."""

from datetime import UTC, datetime, timedelta

import pytest

from starters.cli.spans import ago, clock_time, span


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (timedelta(seconds=-3), "0 s"),
        (timedelta(seconds=59.4), "59 s"),
        (timedelta(seconds=59.6), "1 min"),
        (timedelta(minutes=9, seconds=5), "9 min 05 s"),
        (timedelta(minutes=10, seconds=5), "10 min"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=1), "1 h 00 min"),
        (timedelta(hours=3, minutes=5), "3 h 05 min"),
        (timedelta(days=1) - timedelta(seconds=1), "23 h 59 min"),
        (timedelta(days=2, hours=4, minutes=59), "2 d 4 h"),
    ],
)
def test_a_span_is_said_in_its_two_largest_units(length: timedelta, said: str) -> None:
    assert span(length) == said


def test_another_day_is_named() -> None:
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=40)
    assert clock_time(long_ago) == f"{long_ago.astimezone():%a %Y-%m-%d %H:%M}"
    assert ago(long_ago, now).startswith("40 d 0 h ago (")
