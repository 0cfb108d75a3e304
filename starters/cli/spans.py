"""Spans and times as they are said on a terminal: short, in the reader's own zone."""

from datetime import datetime, timedelta

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def span(length: timedelta) -> str:
    """Give a span in its two largest units: `45 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        minutes, rest = divmod(seconds, _MINUTE)
        return f"{minutes} min {rest:02} s" if minutes < 10 and rest else f"{minutes} min"  # noqa: PLR2004
    if seconds < _DAY:
        hours, rest = divmod(seconds, _HOUR)
        return f"{hours} h {rest // _MINUTE:02} min"
    days, rest = divmod(seconds, _DAY)
    return f"{days} d {rest // _HOUR} h"


def clock_time(at: datetime) -> str:
    """Give a time to the second, with its day where that isn't today."""
    here = at.astimezone()
    today = here.date() == datetime.now().astimezone().date()
    return f"{here:%H:%M:%S}" if today else f"{here:%a %Y-%m-%d %H:%M}"


def ago(at: datetime, now: datetime) -> str:
    """Give when something was: `12 min ago (14:03:11)`."""
    return f"{span(now - at)} ago ({clock_time(at)})"
