"""Off-peak hours are the service's own, also past midnight and when the clocks change."""

from datetime import UTC, datetime, time

import pytest

from activities.catalogue.service import OffPeak
from workflows.deployment.off_peak import off_peak

NIGHT = OffPeak(days=("mon", "tue"), start=time(22), end=time(6))
MORNING = OffPeak(days=("sun",), start=time(2), end=time(4))


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        (datetime(2026, 2, 2, 21, 30, tzinfo=UTC), True),  # Monday 22:30 in Berlin
        (datetime(2026, 2, 2, 20, 30, tzinfo=UTC), False),  # Monday 21:30
        (datetime(2026, 2, 3, 4, 59, tzinfo=UTC), True),  # Tuesday 05:59, of Monday's window
        (datetime(2026, 2, 3, 5, 0, tzinfo=UTC), False),  # Tuesday 06:00
        (datetime(2026, 2, 4, 4, 0, tzinfo=UTC), True),  # Wednesday 05:00, of Tuesday's window
        (datetime(2026, 2, 4, 22, 0, tzinfo=UTC), False),  # Wednesday 23:00
    ],
)
def test_a_window_past_midnight_belongs_to_the_day_it_starts_on(moment: datetime, *, inside: bool) -> None:
    assert off_peak([NIGHT], moment, "Europe/Berlin") is inside


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), False),  # 01:59, before the clocks go forward
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), True),  # 03:00, an hour later on the wall
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), True),  # 02:30 for the second time
    ],
)
def test_clocks_that_change(moment: datetime, *, inside: bool) -> None:
    assert off_peak([MORNING], moment, "Europe/Berlin") is inside


def test_without_windows_it_is_always_off_peak() -> None:
    assert off_peak([], datetime(2026, 2, 4, 12, tzinfo=UTC), "UTC")
