"""Where a run's time goes before its effect, by the timestamps of its history: medians over rounds."""

import statistics
from collections.abc import Sequence
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

Spans = dict[str, float]
"""Consecutive spans of one run by name, in seconds."""

_NAMES = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: "until the run has started",
    EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED: "steps after task {} until the next task is due",
    EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED: "task {} waits for the worker",
    EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: "task {} runs",
}


def of(history: WorkflowHistory, began_at: float, seconds: float, effect: str) -> Spans:
    """Cut the time from `began_at` (`time.time`) to what is measured at the workflow tasks before the effect."""
    spans: Spans = {}
    last, end, task = began_at, began_at + seconds, 0
    for event in history.events:
        at = event.event_time.ToNanoseconds() / 1e9
        if at > end or _schedules(event, effect):
            break
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
            task += 1
        if name := _NAMES.get(event.event_type):
            spans[name.format(task)] = at - last
            last = at
    spans[f"{effect} scheduled until its effect is seen"] = end - last
    return spans


def _schedules(event: Any, effect: str) -> bool:
    return bool(event.activity_task_scheduled_event_attributes.activity_type.name == effect)


def lines(runs: Sequence[Spans]) -> list[str]:
    """Give the median of every span, in their order; and in how many runs it was, where not in all."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, seconds in run.items():
            found.setdefault(name, []).append(seconds)
    return [
        f"{statistics.median(all_seconds) * 1000:6.1f} ms  {name}"
        + (f" ({len(all_seconds)} of {len(runs)} runs)" if len(all_seconds) < len(runs) else "")
        for name, all_seconds in found.items()
    ]
