"""Text of a run made fit to be shown: no control characters, nothing that turns what stands beside it around."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from audit.text import UNSEEN

# Control characters (a terminal obeys them, XML forbids them), half characters, and what nobody sees.
_UNFIT = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff{UNSEEN}]")


def clean(text: str) -> str:
    """Give the text with a mark in place of every character that can't be shown."""
    return _UNFIT.sub("\ufffd", text)


def shortened(text: str, length: int) -> str:
    """Give one line of at most so many characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def iso(at: datetime) -> str:
    """Give a time in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def clock(at: datetime, began: datetime) -> str:
    """Give a time in UTC, to the millisecond; without its date on the day on which the run began."""
    there = at.astimezone(UTC)
    told = there.time() if there.date() == began.astimezone(UTC).date() else there.replace(tzinfo=None)
    return f"{told.isoformat(timespec='milliseconds')}Z"


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Give JSON as names and texts: `labels.severity`, `critical`; what is null or empty is left out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flattened(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and not any(isinstance(inner, dict | list) for inner in value):
        if value:
            yield name, "\n".join(_text(inner) for inner in value)
    elif isinstance(value, list):
        for number, inner in enumerate(value, start=1):
            yield from flattened(inner, f"{name}.{number}" if name else str(number))
    elif value is not None and value != "":
        yield name or "value", _text(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
