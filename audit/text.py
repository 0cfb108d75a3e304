"""Text for people: numbers with their nouns, times, and a run's own words as Markdown that can do no harm."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

_SPECIAL = re.compile(r"([\\`*\[\]|#!~])")
_TENTH, _MINUTE, _HOUR, _DAY = 0.1, 60, 3600, 86_400

MARKS = {
    "phase": "▌",
    "step": "·",
    "effect": "→",
    "decision": "?",
    "note": "✎",
    "deadline": "◷",
    "signal": "⚑",
    "problem": "⚠",
}
"""What each kind of line in a run's timeline begins with, wherever it is shown."""


# Unicode has a picture of each control character of ASCII: U+241B `␛` for ESC. Those of Latin-1 have none, and half a
# surrogate pair is no character.
_PICTURES = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_VISIBLE = _PICTURES | dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000)], 0xFFFD)
_IN_LINES = {code: shown for code, shown in _VISIBLE.items() if code not in {0x09, 0x0A}}


def visible(text: str, *, lines: bool = False) -> str:
    """Give the text with a visible character in place of each control character; with `lines`, line breaks stay.

    Doing it twice changes nothing more, and no text gets longer by it.
    """
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_IN_LINES if lines else _VISIBLE)


UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
"""What turns the order of text around or can't be seen at all, as a regular expression's class has it.

Bidirectional controls and separators, zero widths, fillers, and tags, in which whole sentences can be hidden
(unicode.org/reports/tr36, "Bidirectional Text Spoofing"; unicode.org/reports/tr39). Joiners and variation selectors are
letters' own.
"""

# The flags of England, Scotland and Wales are a flag with tags behind it.
_FLAG = "\U0001f3f4[\U000e0061-\U000e007a]{1,6}\U000e007f"
_FLAG_OR_UNSEEN = re.compile(f"{_FLAG}|[{UNSEEN}]")


def shown(text: str) -> str:
    """Give the text as a terminal, a chat or a log may show it: nothing in it is obeyed, reordered or unseen."""
    if text.isascii() and text.isprintable():
        return text
    return _FLAG_OR_UNSEEN.sub(
        lambda found: f"⟨U+{ord(found[0]):04X}⟩" if len(found[0]) == 1 else found[0], visible(text, lines=True)
    )


def kept(text: str, most: int = 500) -> str:
    """Give text as a database can keep and index it: what it can't is escaped, and what is too long is cut.

    Temporal keeps a NUL in a workflow ID and megabytes in a name; PostgreSQL neither.
    """
    return text.replace("\x00", "\\x00")[:most].encode(errors="backslashreplace").decode()


def plain(text: str) -> str:
    """Give text in one line, in which nothing is markup, HTML, a picture or a link."""
    line = shown(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", line)


def noun(number: int, one: str, many: str = "") -> str:
    """Give the word that goes with a number: `row` with 1, else `many` or `rows`."""
    return one if number == 1 else many or f"{one}s"


def counted(number: int, one: str, many: str = "") -> str:
    """Give a number with its noun: `0 runs`, `1 run`, `2 runs`; `many` where an s at the end doesn't do."""
    return f"{number} {noun(number, one, many)}"


def span(first: int, last: int, one: str) -> str:
    """Give a range of numbered things: `record 1`, `records 1 to 2`."""
    return f"{one} {first}" if first == last else f"{one}s {first} to {last}"


def titled(severity: str, title: str) -> str:
    """Give a title with its severity, once: `P1 incident response` has it already."""
    return title if not severity or title.startswith(severity) else f"{severity} {title}".rstrip()


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


def alternatives(names: Sequence[str]) -> str:
    """Give names of which one is enough: `a`, `a or b`, `a, b or c`."""
    return " or ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def length(span: timedelta) -> str:
    """Give a span that somebody has set, as they would say it: `90 s`, `15 min`, `1 h 30 min`, `7 d`."""
    seconds = span.total_seconds()
    if seconds != round(seconds) or seconds < _MINUTE or (seconds < 2 * _MINUTE and seconds % _MINUTE):
        return f"{seconds:g} s"
    days, rest = divmod(int(seconds), _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, left = divmod(rest, _MINUTE)
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s"))
    return " ".join(f"{number} {unit}" for number, unit in units if number)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; the cells are Markdown already."""
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in rows)])
