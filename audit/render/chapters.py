"""A run's story as headings, facts and tables, which every format shows in its own way."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from audit.chain import hash_of
from audit.gist import gist
from audit.records import Header
from audit.render import chapter_people, chapter_steps
from audit.render.clean import clean, flattened, iso
from audit.render.parts import Fact, Part
from audit.story import Story, Timer
from audit.text import lasted, titled

_BAD = {"failed", "terminated", "timed out", "canceled"}


@dataclass(frozen=True)
class Told:
    """A run to be shown, and where it was read from."""

    story: Story
    archived: bool = False
    record: Header | None = None
    """Its record in the archive, where it has one."""


@dataclass(frozen=True)
class Chapter:
    """One run of a family; all text in it is plain."""

    title: str
    tone: str
    outcome: str
    facts: tuple[Fact, ...]
    before: tuple[Part, ...]
    """What comes before the chart."""
    after: tuple[Part, ...]
    story: Story = field(repr=False)


def chapter(told: Told, now: datetime) -> Chapter:
    """Tell a run in the order in which people ask."""
    story = told.story
    return Chapter(
        title=_title(story),
        tone=_tone(story),
        outcome=clean(" · ".join(dict.fromkeys(filter(None, (story.outcome, story.status))))),
        facts=tuple(Fact(name, clean(value)) for name, value in _headline(story, now) if value),
        before=tuple(filter(None, (_alert(story), _deadlines(story, now)))),
        after=tuple(
            filter(
                None,
                (
                    chapter_people.decisions(story),
                    chapter_people.words(story),
                    chapter_steps.steps(story),
                    chapter_steps.children(story),
                    chapter_people.said(story),
                    chapter_people.signals(story),
                    chapter_steps.timers(story),
                    _result(story),
                    _provenance(told),
                ),
            )
        ),
        story=story,
    )


def chapters(family: Sequence[Told], now: datetime) -> list[Chapter]:
    """Tell a family, each run a chapter."""
    return [chapter(told, now) for told in family]


def _title(story: Story) -> str:
    told = story.title or story.run.workflow_type
    return clean(titled(story.severity, told))


def _tone(story: Story) -> str:
    if story.status in _BAD:
        return "bad"
    return "wait" if story.status == "running" else "good"


def _headline(story: Story, now: datetime) -> list[tuple[str, str]]:
    ended = story.ended_at or now
    kind = "the plan only: nothing was changed" if story.dry_run else ""
    return [
        *gist(story, now),
        ("Procedure", " ".join(filter(None, (story.section, story.run.workflow_type)))),
        ("Service", story.service),
        ("Tenant", story.tenant),
        ("Severity", story.severity),
        ("Incident", story.incident_id),
        ("Outcome", story.outcome),
        ("State", story.status),
        ("Failure", story.failure),
        ("Mode", kind),
        ("Triggered by", _trigger(story)),
        ("Started", iso(story.started_at)),
        ("Ended", iso(story.ended_at) if story.ended_at else "not yet"),
        ("Took", lasted(ended - story.started_at) + ("" if story.ended_at else " until now")),
    ]


def _trigger(story: Story) -> str:
    trigger = story.trigger
    match trigger.kind:
        case "alert":
            return f"an alert of {trigger.by}" if trigger.by else "an alert"
        case "person":
            return trigger.by or "a person, who gave no name"
        case "parent":
            return f"the run {trigger.by}"
        case "earlier run":
            return f"its earlier run {trigger.by}, which it continues"
        case _:
            return f"the schedule {trigger.by}"


def _alert(story: Story) -> Part | None:
    """Tell the alert as the run got it; without one, what was asked for."""
    alert = story.trigger.alert
    if alert is not None:
        return Part("The alert", facts=_facts(alert))
    asked = _facts(story.request)
    return Part("The request", facts=asked) if asked else None


def _facts(value: object) -> tuple[Fact, ...]:
    return tuple(Fact(clean(name), clean(text)) for name, text in flattened(value) if text)


def _deadlines(story: Story, now: datetime) -> Part | None:
    kept = [timer for timer in story.timers if timer.kind == "deadline"]
    if not kept:
        return None
    rows = [
        (clean(timer.name), iso(timer.due_at), lasted(timer.due_at - story.started_at), *_kept(timer, story, now))
        for timer in kept
    ]
    return Part(
        "Deadlines",
        heads=("Deadline", "Due", "After the start", "", "How"),
        rows=tuple(row[:5] for row in rows),
        tones=tuple(row[5] for row in rows),
    )


def _kept(timer: Timer, story: Story, now: datetime) -> tuple[str, str, str]:
    if timer.fired_at is not None:
        return "missed", f"passed at {iso(timer.fired_at)}", "bad"
    if timer.canceled_at is not None:
        met = any(said.kind == "deadline" and said.text.startswith(timer.name) for said in story.said)
        after = lasted(timer.canceled_at - story.started_at)
        return ("kept", f"after {after}", "good") if met else ("ended", f"with its run or phase, after {after}", "")
    if story.ended_at is not None:
        return "open", "the run ended before", "wait"
    left = timer.due_at - now
    return ("running", f"{lasted(left)} left", "wait") if left.total_seconds() > 0 else ("overdue", "", "bad")


def _result(story: Story) -> Part | None:
    facts = _facts(story.result)
    return Part("Result", facts=facts) if facts else None


def _provenance(told: Told) -> Part:
    story = told.story
    header = told.record
    rows = [
        ("Read from", "the archive" if told.archived else "Temporal"),
        ("Namespace", story.namespace),
        ("Workflow ID", story.run.workflow_id),
        ("Run ID", story.run.run_id),
        ("First run of its chain", story.first_run_id if story.first_run_id != story.run.run_id else ""),
        ("Continues", story.continued_from),
        ("Continued by", story.continued_to),
        ("Started by the run", f"{story.parent.workflow_id} @ {story.parent.run_id}" if story.parent else ""),
        ("Asked of Temporal by", story.trigger.identity),
        ("Events in the history", str(story.events)),
        ("Payloads that can't be read", f"{story.unreadable} (encrypted or redacted)" if story.unreadable else "none"),
        ("Record in the archive", str(header.seq) if header else ""),
        ("Hash of the record", hash_of(header) if header else ""),
        ("Archived", iso(header.archived_at) if header else ""),
        ("Signed with the key", header.key if header else ""),
    ]
    return Part("Where this comes from", facts=tuple(Fact(name, clean(text)) for name, text in rows if text))


def generated(now: datetime) -> str:
    """Say what time it tells of."""
    return f"As of {iso(now.astimezone(UTC))}. Times are UTC."
