"""What a run's chart has rows for."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from audit.story import Child, Question, Step, Story, Timer
from audit.text import lasted

Kind = Literal["phase", "step", "failed", "question", "lease", "child", "deadline", "met", "missed"]
_UNFIT = re.compile(r"[^\w.-]")
"""What an ID in an SVG must not have."""


@dataclass(frozen=True)
class Row:
    """Something that lasted."""

    gid: str
    kind: Kind
    label: str
    started_at: datetime
    ended_at: datetime | None
    note: str = ""
    """Stands beside the bar."""
    last_at: datetime | None = None
    """When the last of several attempts began."""
    due_at: datetime | None = None


def rows(story: Story, now: datetime) -> list[Row]:
    """Give phases, deadlines, and then steps, waits, leases and child runs as they began."""
    phases = [
        Row(
            f"phase-{number}",
            "phase",
            phase.name,
            phase.started_at,
            phase.ended_at,
            lasted((phase.ended_at or story.ended_at or now) - phase.started_at),
        )
        for number, phase in enumerate(story.phases)
    ]
    deadlines = [_deadline(timer) for timer in story.timers if timer.kind == "deadline"]
    others = [
        *map(_step, story.steps),
        *(_question(question, story) for question in story.questions),
        *(_lease(timer) for timer in story.timers if timer.kind == "lease"),
        *(_child(number, child) for number, child in enumerate(story.children)),
    ]
    return phases + deadlines + sorted(others, key=lambda row: row.started_at)


def _deadline(timer: Timer) -> Row:
    kind: Kind = "missed" if timer.fired_at else "met" if timer.canceled_at else "deadline"
    end = timer.fired_at or timer.canceled_at
    due = f"due after {lasted(timer.due_at - timer.started_at)}"
    note = {
        "missed": f"missed, {due}",
        "met": f"{lasted((end or timer.due_at) - timer.started_at)}, {due}",
    }.get(kind, due)
    return Row(f"deadline-{timer.event_id}", kind, f"◷ {timer.name}", timer.started_at, end, note, due_at=timer.due_at)


def _step(step: Step) -> Row:
    bad = step.outcome in {"failed", "timed out"}
    took = lasted(step.took) if step.took is not None else ""
    notes = [
        took,
        f"{step.attempts} attempts" if step.attempts > 1 else "",
        "" if step.outcome == "completed" else step.outcome,
    ]
    return Row(
        f"step-{step.event_id}",
        "failed" if bad else "step",
        " ".join(filter(None, (step.section, step.title))),
        step.scheduled_at,
        step.ended_at,
        ", ".join(filter(None, notes)),
        last_at=step.started_at if step.attempts > 1 else None,
    )


def _question(question: Question, story: Story) -> Row:
    unanswered = "not answered" if story.ended_at else "open"
    waited = (
        f"waited {lasted(question.delay)}: {question.choice} by {question.by}"
        if question.delay is not None
        else unanswered
    )
    return Row(
        f"question-{_UNFIT.sub('-', question.id)}",
        "question",
        f"? {question.title}",
        question.asked_at,
        question.answered_at,
        waited,
    )


def _lease(timer: Timer) -> Row:
    end = timer.fired_at or timer.canceled_at
    return Row(
        f"lease-{timer.event_id}",
        "lease",
        timer.name,
        timer.started_at,
        end,
        f"held {lasted(end - timer.started_at)}" if end else "held",
    )


def _child(number: int, child: Child) -> Row:
    took = lasted(child.ended_at - child.started_at) if child.ended_at else ""
    note = ", ".join(filter(None, (took, child.outcome)))
    return Row(f"child-{number}", "child", f"↳ {child.run.workflow_type}", child.started_at, child.ended_at, note)
