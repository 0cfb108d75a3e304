"""How people call what results and metrics are named, and the unit of each: the one place where it is said.

A name that isn't here is said as it is, in words; of a number nobody knows the unit then.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from audit.text import counted, moment

_SECOND = 1000
"""Milliseconds."""
_WHOLE = 10
"""Milliseconds from which on they are shown without decimals."""
_KIBI = 1024
_FEW = 6
"""Fields of a field that are said one by one; of more their number alone."""

ITEMS = "items"
"""What the one field of a list is called that is all of a result."""


def percent(share: float | None) -> str:
    """Give a share as people read it: `0.10 %`."""
    return "no data" if share is None else f"{share:.2%}".replace("%", " %")


def duration(seconds: float | None) -> str:
    """Give a latency as people read it: `41 ms`, `1.33 s`."""
    if seconds is None:
        return "no data"
    milliseconds = seconds * 1000
    if milliseconds >= _SECOND:
        return f"{seconds:.2f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= _WHOLE else f"{milliseconds:.1f} ms"


def size(number: float) -> str:
    """Give a number of bytes as people read it: `8.0 GiB`."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(number) < _KIBI:
            return counted(round(number), "byte") if unit == "bytes" else f"{number:.1f} {unit}"
        number /= _KIBI
    return f"{number:.1f} TiB"


_UNITS: dict[str, Callable[[float], str]] = {
    "error_rate": percent,
    "saturation": percent,
    "utilisation": percent,
    "cache_hit": percent,
    "p95_latency": duration,
    "latency": duration,
    "seconds": lambda seconds: f"{seconds:.4g} s",
    "longest": lambda seconds: f"{seconds:.4g} s",
    "milliseconds": lambda milliseconds: f"{milliseconds:.3g} ms",
    "request_rate": lambda rate: f"{rate:.4g}/s",
    "size": size,
}
_CALLED = {
    "seconds": "took",
    "milliseconds": "took",
    "longest": "at a stretch for",
    "rolled_out_at": "rolled out",
    "created_at": "created",
    "last_used_at": "last used",
    "hpa_min": "HPA at least",
    "hpa_max": "HPA at most",
    "hpa_current": "HPA has",
    "hpa_desired": "HPA wants",
    "xid_age": "age of transaction IDs",
    "multixact_age": "age of multixacts",
    "connections_limit": "of at most",
    "key_id": "key",
    "tenant_id": "tenant",
    "window_id": "window",
    "blind": "without figures",
    "csm": "success manager",
}
_SAID_WITHOUT_COLON = {"seconds", "milliseconds", "longest", *(name for name in _CALLED if name.endswith("_at"))}
_NOTHING_AT_ZERO = {"more", "blind", "others"}
"""Of what there is mostly none: then it isn't said."""

_SETTINGS = {"approvals"}
"""Of the settings that a run pins: they are told by what is done by them."""


def called(name: str) -> str:
    """Give a name as people say it: `error rate`."""
    return _CALLED.get(name) or name.replace("_", " ")


def figure(name: str, value: float) -> str:
    """Give a number with the unit that its name has; without one, as it is."""
    return _UNITS[name](value) if name in _UNITS else f"{value:.4g}"


def heading(name: str) -> str:
    """Give a metric's name as it stands in a table: `Error rate`."""
    words = called(name)
    return words[:1].upper() + words[1:]


def field(name: str, value: Any) -> str:
    """Say a field of a result: `5 in all`, `complete`, `took 7.6 ms`; nothing of what is empty or doesn't hold."""
    if value in (None, "", [], {}) or value is False or name in _SETTINGS:
        return ""
    if value == 0 and name in _NOTHING_AT_ZERO:
        return ""
    if value is True:
        return called(name)
    if isinstance(value, Mapping):
        return _fields(name, value)
    if isinstance(value, list):
        return f"{len(value)} in all" if name == ITEMS else _number_of(name, len(value))
    said = figure(name, value) if _measured(name, value) else _instant(value)
    return f"{called(name)} {said}" if name in _SAID_WITHOUT_COLON else f"{called(name)}: {said}"


def _fields(name: str, value: Mapping[str, Any]) -> str:
    if len(value) <= _FEW and all(isinstance(one, int | float | str) for one in value.values()):
        return ", ".join(filter(None, (field(key, one) for key, one in value.items())))
    if name.endswith("s"):
        return _number_of(name, len(value))
    # One thing with fields of its own, and no collection: it is told by its name.
    own = next((value[key] for key in ("name", "title", "id", "status") if isinstance(value.get(key), str)), "")
    return f"{called(name)}: {own}" if own else ""


def _number_of(name: str, number: int) -> str:
    words = called(name)
    return counted(number, words.removesuffix("s"), words) if words.endswith("s") else f"{words}: {number}"


def _measured(name: str, value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and name in _UNITS)


def _instant(value: Any) -> str:
    """Give a time as people read it, and anything else as it is."""
    text = str(value)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment(at) if at.tzinfo and "T" in text else text
