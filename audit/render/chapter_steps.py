"""What a run did: its steps, the runs it started, and its timers."""

from audit.render.clean import clean, clock, iso
from audit.render.parts import Part
from audit.story import Step, Story, Timer
from audit.text import lasted

_TONES = {"failed": "bad", "timed out": "bad", "canceled": "wait", "running": "wait"}


def steps(story: Story) -> Part | None:
    """Tell every step, with its effect or its result."""
    if not story.steps:
        return None
    return Part(
        "Steps",
        heads=("Time", "Section", "Step", "Attempts", "Took", "Effect or result", "Failure"),
        rows=tuple(_step(step, story) for step in story.steps),
        tones=tuple(_TONES.get(step.outcome, "wait" if step.attempts > 1 else "") for step in story.steps),
        widths=(1.3, 0.8, 2, 0.85, 0.85, 3.2, 1.2),
    )


def _step(step: Step, story: Story) -> tuple[str, ...]:
    took = lasted(step.took) if step.took is not None else step.outcome
    failure = step.failure or (step.outcome if step.outcome in _TONES else "")
    return tuple(
        clean(cell)
        for cell in (
            clock(step.scheduled_at, story.started_at),
            step.section,
            f"{step.title}\n{step.activity}",
            str(step.attempts),
            took,
            _effect(step),
            failure,
        )
    )


def _effect(step: Step) -> str:
    effect = step.effect
    if effect is None:
        return step.result
    change = " → ".join(filter(None, (effect.before, effect.after)))
    notes = [effect.note, "plan only" if effect.dry_run else "", _found_done(step)]
    lines = [": ".join(filter(None, (effect.target, change))), *filter(None, notes)]
    return "\n".join(filter(None, lines)) or step.result


def _found_done(step: Step) -> str:
    effect = step.effect
    if effect is None or effect.applied is not False or effect.dry_run:
        return ""
    return "an earlier attempt had done it" if step.attempts > 1 else "it was so already"


def children(story: Story) -> Part | None:
    """Tell the runs it started; each has a chapter of its own."""
    if not story.children:
        return None
    return Part(
        "Runs it started",
        heads=("Time", "Procedure", "Workflow ID", "Took", "Outcome"),
        rows=tuple(
            (
                clock(child.started_at, story.started_at),
                clean(child.run.workflow_type),
                clean(child.run.workflow_id),
                lasted(child.ended_at - child.started_at) if child.ended_at else "—",
                child.outcome,
            )
            for child in story.children
        ),
        tones=tuple("good" if child.outcome == "completed" else "wait" for child in story.children),
        widths=(1.5, 1.2, 3, 0.8, 1),
    )


def timers(story: Story) -> Part | None:
    """Tell leases, escalations and reminders; deadlines have a table of their own."""
    found = [timer for timer in story.timers if timer.kind != "deadline"]
    if not found:
        return None
    return Part(
        "Leases, escalations and other timers",
        heads=("From", "Kind", "What", "Due", "What came of it"),
        rows=tuple(
            (clock(timer.started_at, story.started_at), timer.kind, clean(timer.name), iso(timer.due_at), _came(timer))
            for timer in found
        ),
        tones=tuple("wait" if timer.kind == "escalation" and timer.fired_at else "" for timer in found),
        widths=(1.5, 0.9, 2.4, 1.4, 1.6),
    )


def _came(timer: Timer) -> str:
    if timer.fired_at is not None:
        return f"ran out after {lasted(timer.fired_at - timer.started_at)}"
    if timer.canceled_at is not None:
        return f"ended early, after {lasted(timer.canceled_at - timer.started_at)}"
    return "never ran out"
