"""Text of a run as Markdown: harmless, whatever somebody wrote into an alert or a note."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

_SPECIAL = re.compile(r"([\\`*\[\]|#!~])")
_TENTH, _MINUTE, _HOUR, _DAY = 0.1, 60, 3600, 86_400


def plain(text: str) -> str:
    """Give text in one line, in which nothing is markup, HTML, a picture or a link."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)


def moment(at: datetime) -> str:
    """Give a time, in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def lasted(span: timedelta) -> str:
    """Give a span as people say it: `36 ms`, `0.4 s`, `3:05 min`, `2:00:00 h`, `3 d 02:00 h`."""
    seconds = span.total_seconds()
    if 0 < abs(seconds) < _TENTH:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02} min"
    if whole < _DAY:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02} h"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR:02}:{whole % _HOUR // _MINUTE:02} h"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; the cells are Markdown already."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])
