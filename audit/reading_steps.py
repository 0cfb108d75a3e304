"""The steps of a run: activities with all their attempts, and local activities by the markers they leave."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from audit.history import Event, at, failure, number
from audit.payloads import Decoder
from audit.story import Effect, Phase, Step, StepOutcome
from audit.wording import field

_TITLE = re.compile(r"(\d+\.\d+(?:/[\w.-]+)?) (.*)", re.DOTALL)
_TASK = "ACTIVITY_TASK_"
_OUTCOMES: dict[str, StepOutcome] = {
    f"{_TASK}COMPLETED": "completed",
    f"{_TASK}FAILED": "failed",
    f"{_TASK}TIMED_OUT": "timed out",
    f"{_TASK}CANCELED": "canceled",
}
_LONGEST = 200


def read(events: Sequence[Event], decoder: Decoder, phases: Sequence[Phase]) -> list[Step]:
    """Give all steps, in the order they were scheduled."""
    started = {e.number("scheduledEventId"): e for e in events if e.kind == f"{_TASK}STARTED"}
    ended = {e.number("scheduledEventId"): e for e in events if e.kind in _OUTCOMES}
    steps = []
    for event in events:
        if event.kind == f"{_TASK}SCHEDULED":
            steps.append(_step(event, started.get(event.id), ended.get(event.id), decoder, phases))
        elif event.is_local_activity:
            steps.append(_local(event, decoder, phases))
    return steps


def _step(
    scheduled: Event, started: Event | None, ended: Event | None, decoder: Decoder, phases: Sequence[Phase]
) -> Step:
    section, title = _title(scheduled)
    outcome = _OUTCOMES[ended.kind] if ended else "running"
    request = next((decoder.read(payload) for payload in scheduled.payloads("input")), None)
    result = next((decoder.read(payload) for payload in ended.payloads("result")), None) if ended else None
    effect = _effect(request, result)
    last = failure(started.body.get("lastFailure"), decoder) if started else ""
    return Step(
        event_id=scheduled.id,
        section=section,
        title=title,
        activity=scheduled.text("activityType", "name"),
        scheduled_at=scheduled.at,
        started_at=started.at if started else None,
        ended_at=ended.at if ended else None,
        attempts=max(1, started.number("attempt") if started else 1),
        outcome=outcome,
        phase=_phase(phases, scheduled.at),
        effect=effect,
        result=line(result) if outcome == "completed" else "",
        failure=(failure(ended.body.get("failure"), decoder) if ended else "") or last,
        worker=started.text("identity") if started else "",
    )


def _local(marker: Event, decoder: Decoder, phases: Sequence[Phase]) -> Step:
    section, title = _title(marker)
    about = next((decoder.read(payload) for payload in marker.payloads("details", "data")), None)
    result = next((decoder.read(payload) for payload in marker.payloads("details", "result")), None)
    why = failure(marker.body.get("failure"), decoder)
    completed = _instant(at(about, "complete_time"))
    activity = at(about, "activity_type")
    return Step(
        event_id=marker.id,
        section=section,
        title=title,
        activity=activity if isinstance(activity, str) else "",
        local=True,
        scheduled_at=min(completed or marker.at, marker.at),
        ended_at=marker.at,
        attempts=max(1, number(at(about, "attempt"))),
        outcome="failed" if why else "completed",
        phase=_phase(phases, marker.at),
        result="" if why else line(result),
        failure=why,
    )


def _title(event: Event) -> tuple[str, str]:
    named = _TITLE.fullmatch(event.summary)
    if named:
        return named[1], named[2]
    return "", event.summary or event.text("activityType", "name")


def _phase(phases: Iterable[Phase], when: datetime) -> str:
    name = ""
    for phase in phases:
        if phase.started_at <= when:
            name = phase.name
    return name


def _effect(request: Any, result: Any) -> Effect | None:
    identity = at(request, "effect")
    key = at(identity, "key")
    if not isinstance(key, str):
        return None
    change = {
        name: value
        for name, value in (result.items() if isinstance(result, dict) else ())
        if name in {"target", "before", "after", "note"} and isinstance(value, str)
    }
    applied = at(result, "applied")
    return Effect(
        key=key,
        applied=applied if isinstance(applied, bool) else None,
        dry_run=at(identity, "dry_run") is True,
        **change,
    )


def line(result: Any) -> str:
    """Give a result in one line: a change as its before → after, anything else by its scalar fields."""
    if isinstance(result, dict):
        if {"target", "after"} <= result.keys():
            before = f"{result['before']} → " if result.get("before") else ""
            note = f" ({result['note']})" if result.get("note") else ""
            return _cut(f"{result['target']}: {before}{result['after']}{note}")
        told = [*filter(None, (field(name, value) for name, value in result.items()))]
        nothing = any(value in ([], {}) for value in result.values())
        return _cut(", ".join(told) or ("nothing" if nothing else ""))
    if isinstance(result, list):
        return f"{len(result)} in all"
    return "" if result is None else _cut(str(result))


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _instant(stamp: Any) -> datetime | None:
    seconds, nanos = number(at(stamp, "seconds")), number(at(stamp, "nanos"))
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(seconds + nanos / 1e9, UTC)
    except (OverflowError, OSError, ValueError):
        return None
