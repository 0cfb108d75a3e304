"""History → story: everything in it is derived from the events alone.

What a run writes for its readers (`workflows.platform.runbook`): a summary `SECTION TITLE` on every step and a name on
every timer; memo fields `runbook` (its section and title), `said` (a line of its timeline) and `asked` (a question).
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, get_args

from pydantic import ValidationError

from audit import reading_people, reading_steps
from audit.history import EPOCH, Event, at, events, failure, span
from audit.payloads import Decoder
from audit.story import Child, Phase, RunIdentity, Said, Signal, Status, Story, Timer, TimerKind, Trigger

_ENDS: dict[str, Status] = {
    "WORKFLOW_EXECUTION_COMPLETED": "completed",
    "WORKFLOW_EXECUTION_FAILED": "failed",
    "WORKFLOW_EXECUTION_CANCELED": "canceled",
    "WORKFLOW_EXECUTION_TERMINATED": "terminated",
    "WORKFLOW_EXECUTION_TIMED_OUT": "timed out",
    "WORKFLOW_EXECUTION_CONTINUED_AS_NEW": "continued as new",
}
_CHILD = "CHILD_WORKFLOW_EXECUTION_"
_SCHEDULED_BY = "TemporalScheduledById"
_RESET = "WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW"


def read(history: Any, *, namespace: str, workflow_id: str, run_id: str, decoder: Decoder) -> Story:
    """Read the story of one run from its history, `json.loads(WorkflowHistory.to_json())`.

    What the decoder can't read is counted and left empty; a damaged history reads as far as it goes.
    """
    before = decoder.unreadable
    found = list(events(history, decoder))
    started = next((event for event in found if event.kind == "WORKFLOW_EXECUTION_STARTED"), None)
    first = started or Event(0, "", found[0].at if found else EPOCH, {})
    ended = next((event for event in reversed(found) if event.kind in _ENDS), None)
    memo = list(_memo(found, decoder))
    said = [line for name, value, at_ in memo if name == "said" for line in _said(value, at_)]
    attributes = _attributes(found, decoder)
    runbook = next((value for name, value, _ in memo if name == "runbook" and isinstance(value, dict)), {})
    request = next((decoder.read(payload) for payload in first.payloads("input")), None)
    phases = _phases(said, ended.at if ended else None)
    steps = reading_steps.read(found, decoder, phases)
    timers = list(_timers(found))
    first_run_id = first.text("firstExecutionRunId") or run_id
    words = reading_people.words(found, decoder, workflow_id, {first_run_id, run_id, *_runs(found, first)})
    asked = [value for name, value, _ in memo if name == "asked"]
    section = _text(runbook.get("section")) or next((s.section.partition("/")[0] for s in steps if s.section), "")
    workflow_type = first.text("workflowType", "name")
    return Story(
        namespace=namespace,
        run=RunIdentity(workflow_id=workflow_id, run_id=run_id, workflow_type=workflow_type),
        first_run_id=first_run_id,
        continued_from=_reset_from(found) or first.text("continuedExecutionRunId"),
        continued_to=ended.text("newExecutionRunId") if ended else "",
        parent=_parent(first),
        section=section,
        title=first.summary or _text(runbook.get("title")) or workflow_type,
        service=attributes.get("RunbookService", ""),
        severity=attributes.get("RunbookSeverity", ""),
        tenant=attributes.get("RunbookTenant", ""),
        incident_id=attributes.get("RunbookIncident", ""),
        outcome=attributes.get("RunbookOutcome", ""),
        status=_ENDS[ended.kind] if ended else "running",
        failure=_failure(ended, decoder),
        dry_run=at(request, "dry_run") is True,
        started_at=first.at,
        ended_at=ended.at if ended else None,
        trigger=_trigger(first, request, attributes, _reset_from(found)),
        request=request,
        result=next((decoder.read(payload) for payload in ended.payloads("result")), None) if ended else None,
        phases=phases,
        steps=steps,
        questions=reading_people.questions(asked, words, timers, said, ended.at if ended else None),
        words=words,
        signals=[_signal(event, decoder) for event in found if event.kind == "WORKFLOW_EXECUTION_SIGNALED"],
        timers=timers,
        said=said,
        children=list(_children(found)),
        events=len(found),
        unreadable=decoder.unreadable - before,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _memo(found: Iterable[Event], decoder: Decoder) -> Iterable[tuple[str, Any, datetime]]:
    for event in found:
        if event.kind == "WORKFLOW_PROPERTIES_MODIFIED":
            for name, payload in event.fields("upsertedMemo", "fields").items():
                yield name, decoder.read(payload), event.at


def _said(value: Any, written_at: datetime) -> list[Said]:
    if not isinstance(value, dict):
        return []
    known = {name: value[name] for name in Said.model_fields if isinstance(value.get(name), str)}
    try:
        return [Said.model_validate({"at": written_at, "kind": "", "text": "", **known})]
    except ValidationError:
        return []


def _attributes(found: Iterable[Event], decoder: Decoder) -> dict[str, str]:
    """Give the search attributes as they were last, those that are text."""
    last: dict[str, str] = {}
    for event in found:
        if event.kind in {"WORKFLOW_EXECUTION_STARTED", "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES"}:
            for name, payload in event.fields("searchAttributes", "indexedFields").items():
                value = decoder.read(payload)
                last[name] = value if isinstance(value, str) else ""
    return last


def _phases(said: Iterable[Said], ended_at: datetime | None) -> list[Phase]:
    starts = [line for line in said if line.kind == "phase"]
    ends = [line.at for line in starts[1:]] + [ended_at]
    return [
        Phase(name=line.text, started_at=line.at, ended_at=end)
        for line, end in zip(starts, ends[: len(starts)], strict=True)
    ]


def _failure(ended: Event | None, decoder: Decoder) -> str:
    if ended is None:
        return ""
    if ended.kind == "WORKFLOW_EXECUTION_TERMINATED":
        return f"terminated by {ended.text('identity')}: {ended.text('reason')}".removesuffix(": ")
    return failure(ended.body.get("failure"), decoder)


def _parent(first: Event) -> RunIdentity | None:
    parent = first.fields("parentWorkflowExecution")
    if not parent:
        return None
    return RunIdentity(workflow_id=_text(parent.get("workflowId")), run_id=_text(parent.get("runId")))


def _reset_from(found: Iterable[Event]) -> str:
    """Name the run that somebody has reset, which this one goes on from."""
    bases = [e.text("baseRunId") for e in found if e.kind == "WORKFLOW_TASK_FAILED" and e.text("cause") == _RESET]
    return bases[-1] if bases else ""


def _runs(found: Iterable[Event], first: Event) -> Iterator[str]:
    """Name the runs whose history this one goes on with: those that were reset, and the one that began it."""
    yield first.text("originalExecutionRunId")
    yield from (event.text("baseRunId") for event in found if event.text("cause") == _RESET)


def _trigger(first: Event, request: Any, attributes: dict[str, str], reset_from: str) -> Trigger:
    identity = first.text("identity")
    alert = at(request, "alert")
    if parent := first.text("parentWorkflowExecution", "workflowId"):
        return Trigger(kind="parent", by=parent, identity=identity)
    if earlier := reset_from or first.text("continuedExecutionRunId"):
        return Trigger(
            kind="earlier run", by=earlier, alert=alert if isinstance(alert, dict) else None, identity=identity
        )
    if schedule := attributes.get(_SCHEDULED_BY):
        return Trigger(kind="schedule", by=schedule, identity=identity)
    if isinstance(alert, dict):
        return Trigger(kind="alert", by=_text(alert.get("source")), alert=alert, identity=identity)
    return Trigger(kind="person", by=_text(at(request, "requested_by")), identity=identity)


def _signal(event: Event, decoder: Decoder) -> Signal:
    body = [decoder.read(payload) for payload in event.payloads("input")]
    return Signal(
        event_id=event.id,
        at=event.at,
        name=event.text("signalName"),
        body=body[0] if len(body) == 1 else body or None,
        identity=event.text("identity"),
    )


def _timers(found: Iterable[Event]) -> Iterable[Timer]:
    ends = {
        (event.kind, event.number("startedEventId")): event.at
        for event in found
        if event.kind in {"TIMER_FIRED", "TIMER_CANCELED"}
    }
    for event in found:
        if event.kind == "TIMER_STARTED":
            kind, name = _named(event.summary)
            yield Timer(
                event_id=event.id,
                kind=kind,
                name=name,
                started_at=event.at,
                due_at=event.at + span(event.body.get("startToFireTimeout")),
                fired_at=ends.get(("TIMER_FIRED", event.id)),
                canceled_at=ends.get(("TIMER_CANCELED", event.id)),
            )


def _named(summary: str) -> tuple[TimerKind, str]:
    for kind in get_args(TimerKind):
        for between in (": ", " of "):
            if summary.startswith(f"{kind}{between}"):
                name = summary.removeprefix(f"{kind}{between}")
                return kind, name.rpartition(" until ")[0] or name if kind == "lease" else name
    return "timer", summary


def _children(found: Iterable[Event]) -> Iterable[Child]:
    started = {event.number("initiatedEventId"): event for event in found if event.kind == f"{_CHILD}STARTED"}
    ends: dict[int, Event] = {
        event.number("initiatedEventId"): event
        for event in found
        if (event.kind.startswith(_CHILD) and event.kind != f"{_CHILD}STARTED") or event.kind == _NOT_STARTED
    }
    for event in found:
        if event.kind != "START_CHILD_WORKFLOW_EXECUTION_INITIATED":
            continue
        start, end = started.get(event.id), ends.get(event.id)
        run = RunIdentity(
            workflow_id=event.text("workflowId"),
            run_id=start.text("workflowExecution", "runId") if start else "",
            workflow_type=event.text("workflowType", "name"),
        )
        yield Child(
            run=run,
            started_at=start.at if start else event.at,
            ended_at=end.at if end else None,
            outcome=_outcome(end),
        )


_NOT_STARTED = "START_CHILD_WORKFLOW_EXECUTION_FAILED"


def _outcome(end: Event | None) -> Any:
    if end is None:
        return "running"
    if end.kind == _NOT_STARTED:
        return "not started"
    return _ENDS.get(f"WORKFLOW_EXECUTION_{end.kind.removeprefix(_CHILD)}", "running")
