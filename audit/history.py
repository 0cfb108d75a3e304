"""A history's JSON, read as far as it goes: what is missing, foreign or damaged is passed over, never an exception."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from audit.payloads import Decoder

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX = "EVENT_TYPE_"
_LONGEST = timedelta(days=36_500)


_LOCAL_ACTIVITY = "core_local_activity"
"""As the SDKs on Temporal's core call it."""


@dataclass(frozen=True)
class Event:
    """One event."""

    id: int
    kind: str
    """Its type without `EVENT_TYPE_`, for example `ACTIVITY_TASK_SCHEDULED`."""
    at: datetime
    body: dict[str, Any]
    """Its attributes."""
    summary: str = ""

    @property
    def is_local_activity(self) -> bool:
        """Whether it holds what a local activity gave; SDKs record other things as markers too."""
        return self.kind == "MARKER_RECORDED" and self.text("markerName") == _LOCAL_ACTIVITY

    def text(self, *path: str) -> str:
        """Give a text inside; empty where there is none."""
        found = at(self.body, *path)
        return found if isinstance(found, str) else ""

    def number(self, *path: str) -> int:
        """Give a number inside, which protobuf may write as text; 0 where there is none."""
        return number(at(self.body, *path))

    def payloads(self, *path: str) -> list[Any]:
        """Give the payloads of a `Payloads` message inside."""
        found = at(self.body, *path, "payloads")
        return found if isinstance(found, list) else []

    def fields(self, *path: str) -> dict[str, Any]:
        """Give a message inside."""
        found = at(self.body, *path)
        return found if isinstance(found, dict) else {}


def events(history: Any, decoder: Decoder) -> Iterator[Event]:
    """Give a history's events in their order."""
    found = history.get("events") if isinstance(history, dict) else None
    last = EPOCH
    for raw in found if isinstance(found, list) else ():
        if not isinstance(raw, dict):
            continue
        last = moment(raw.get("eventTime")) or last
        kind = raw.get("eventType")
        summary = at(raw, "userMetadata", "summary")
        said = decoder.read(summary) if summary is not None else ""
        yield Event(
            id=number(raw.get("eventId")),
            kind=kind.removeprefix(_PREFIX) if isinstance(kind, str) else "",
            at=last,
            body=_attributes(raw),
            summary=said if isinstance(said, str) else "",
        )


def _attributes(raw: dict[str, Any]) -> dict[str, Any]:
    return next(
        (value for name, value in raw.items() if name.endswith("EventAttributes") and isinstance(value, dict)), {}
    )


def at(value: Any, *path: str) -> Any:
    """Follow a path of names; None where it ends early."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def number(value: Any) -> int:
    """Read a number; 0 where it is none."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return 0


def moment(value: Any) -> datetime | None:
    """Read a time, in UTC."""
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def span(value: Any) -> timedelta:
    """Read a span as protobuf writes it, for example `1799.979s`; zero where it is none."""
    try:
        return min(timedelta(seconds=float(value.removesuffix("s"))), _LONGEST)
    except (AttributeError, ValueError, OverflowError):
        return timedelta(0)


def failure(body: Any, decoder: Decoder) -> str:
    """Give the innermost `Type: message` of a failure; empty where there is none."""
    if not isinstance(body, dict):
        return ""
    while isinstance(cause := body.get("cause"), dict) and (cause.get("message") or cause.get("encodedAttributes")):
        body = cause
    message = body.get("message", "")
    encoded = body.get("encodedAttributes")
    if encoded is not None:
        message = at(decoder.read(encoded), "message") or message
    kind = at(body, "applicationFailureInfo", "type")
    message = message if isinstance(message, str) else ""
    return f"{kind}: {message}" if isinstance(kind, str) and kind else message
