"""The hours at which a release may go out (runbook 4.1 step 1), in the service's own time."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

from activities.catalogue.base import Weekday
from activities.catalogue.service import OffPeak

_DAYS: tuple[str, ...] = get_args(Weekday)


def off_peak(windows: Sequence[OffPeak], now: datetime, time_zone: str) -> bool:
    """Tell whether a release may go out now; at any time where no window is configured."""
    return not windows or any(_within(window, now.astimezone(ZoneInfo(time_zone))) for window in windows)


def _within(window: OffPeak, local: datetime) -> bool:
    clock = local.time().replace(tzinfo=None)
    today = _DAYS[local.weekday()] in window.days
    if window.start < window.end:
        return today and window.start <= clock < window.end
    # Past midnight: the small hours belong to the day before.
    yesterday = _DAYS[(local - timedelta(days=1)).weekday()] in window.days
    return (today and clock >= window.start) or (yesterday and clock < window.end)
