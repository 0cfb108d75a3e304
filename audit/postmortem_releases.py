"""What an incident's run found out about releases, read from its history in full: a story has only a line of it."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit.history import Event, events
from audit.payloads import Decoder

_TASK = "ACTIVITY_TASK_"


class Release(BaseModel):
    """One release, from the records, the cluster or Helm."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    source: str = Field(description="Activity that told of it.")
    at: datetime
    what: str


def releases(history: Any, decoder: Decoder) -> list[Release]:
    """Give the releases that the run looked at, oldest first, each once; what can't be read is left out."""
    found = list(events(history, decoder))
    names = {event.id: event.text("activityType", "name") for event in found if event.kind == f"{_TASK}SCHEDULED"}
    told = [release for event in found if event.kind == f"{_TASK}COMPLETED" for release in _told(event, names, decoder)]
    return sorted(set(told), key=lambda release: (release.at, release.source, release.what))


def _told(event: Event, names: dict[int, str], decoder: Decoder) -> Iterator[Release]:
    source = names.get(event.number("scheduledEventId"), "")
    read = _READERS.get(source)
    result = next((decoder.read(payload) for payload in event.payloads("result")), None) if read else None
    if read is None or not isinstance(result, dict):
        return
    for item in result.get(read[0]) or ():
        if isinstance(item, dict):
            try:
                yield Release(source=source, at=item.get(read[1]), what=_line(item, read[2]))
            except ValidationError:
                continue


_READERS = {
    "records.recent_deployments": (
        "items",
        "started_at",
        ("version", "status", "deployer", "revision", "change_log", "reason"),
    ),
    "kubernetes.deployment": ("revisions", "created_at", ("number", "images", "change_cause")),
    "helm.release": ("revisions", "updated_at", ("number", "status", "chart", "description")),
}
"""Activity → list in its result, field of the time, fields worth telling."""


def _line(item: dict[str, Any], fields: tuple[str, ...]) -> str:
    values = ((name, item.get(name)) for name in fields)
    return ", ".join(
        f"{name.replace('_', ' ')} {', '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in values
        if value not in (None, "", [])
    )
