"""The draft of a post-mortem, from the stories of an incident: what is known filled in, the rest left to people."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.gist import TELLING, changes, closing, gist
from audit.postmortem_document import Section
from audit.postmortem_impact import Series
from audit.postmortem_releases import Release
from audit.postmortem_timeline import lines
from audit.report_reading import deadlines, reached, resolved_at
from audit.story import Story
from audit.text import counted, lasted, moment, noun, plain, table
from audit.wording import figure, heading

_RELEASES = 10
_TO_FILL = """## For the review

- What customers noticed, and how many:
- What went well:
- What went badly:
- Where we were lucky:

## Action items

| Action | Owner | Due | Done |
|---|---|---|---|
| | | | |
"""


@dataclass(frozen=True)
class Material:
    """What a post-mortem is written from."""

    incident_id: str
    stories: Sequence[Story]
    """The incident's own run first, then what it started."""
    metrics: Sequence[Series] = ()
    metrics_trouble: str = ""
    """Why there are no metrics, where there are none."""
    changes: Sequence[Story] = ()
    """Other runs that acted on the service shortly before, or meanwhile."""
    releases: Sequence[Release] = ()
    """What the incident's run found out about releases."""

    @property
    def main(self) -> Story:
        """The incident's own run."""
        return self.stories[0]


def sections(material: Material) -> list[Section]:
    """Write every section; the same material gives the same text."""
    main = material.main
    return [
        Section("", f"# Post-mortem {plain(material.incident_id)}: {plain(main.title)}"),
        Section("summary", _summary(material)),
        Section("impact", _impact(material)),
        Section("timeline", "## Timeline\n\n" + "\n".join(lines(material.stories))),
        Section("tried", _tried(material.stories)),
        Section("changes", _changes(material)),
        Section("questions", _open_questions(material.stories)),
        Section("evidence", _evidence(material.stories)),
        Section("", _TO_FILL),
    ]


# -- summary and impact ----------------------------------------------------------------------------------


def _summary(material: Material) -> str:
    main = material.main
    met = reached(main)
    said = closing(main)
    facts = [
        ("Severity", main.severity),
        ("Service", main.service),
        ("Procedure", " ".join(filter(None, (main.section, main.run.workflow_type)))),
        ("Began", moment(main.started_at)),
        *((name, f"{moment(at)} (after {lasted(at - main.started_at)})") for name, at in met.items()),
        ("Over", _over(main)),
        ("Outcome", main.outcome or main.status),
        ("People", ", ".join(main.actors) or "nobody had to say a word"),
    ]
    told = [
        "" if said["resolution"] else "It has no resolution yet.",
        "" if said["root_cause"] else "Root cause: not told yet.",
        f"The run failed: {plain(main.failure)}" if main.failure else "",
    ]
    return "\n\n".join(
        [
            "## Summary",
            _gist(material),
            table(("", ""), ((name, plain(value)) for name, value in facts)),
            *filter(None, told),
        ]
    )


def _gist(material: Material) -> str:
    """Begin with what people ask first; the table below has the figures."""
    lines = [f"**{name}.** {plain(text)}" for name, text in gist(material.main)]
    if others := [one for one in material.changes if _meanwhile(one, material.main)]:
        runs = ", ".join(f"{plain(one.title)} (`runbooks audit show {plain(one.run.workflow_id)}`)" for one in others)
        lines.append(f"**Others at the same time.** {runs}")
    return "\n\n".join(lines)


def _meanwhile(other: Story, main: Story) -> bool:
    return other.started_at >= main.started_at or other.ended_at is None or other.ended_at > main.started_at


def _over(main: Story) -> str:
    over = resolved_at(main)
    return f"{moment(over)} (after {lasted(over - main.started_at)})" if over else f"not yet, the run is {main.status}"


def _impact(material: Material) -> str:
    main = material.main
    began, mitigated = main.started_at, reached(main).get("Mitigated")
    firing = _time((main.trigger.alert or {}).get("starts_at")) or began
    parts = [
        "## Impact",
        f"From {moment(firing)} to {moment(mitigated)}: {lasted(mitigated - firing)} until it was mitigated."
        if mitigated
        else f"Since {moment(firing)}; the run does not say that it was mitigated.",
    ]
    if material.metrics:
        rows = (
            (
                plain(", ".join(filter(None, (heading(one.name), one.labels.replace("=", " "))))),
                _number(one.name, one.before),
                _peak(one.name, one.lowest, one.lowest_at),
                _peak(one.name, one.highest, one.highest_at),
                _number(one.name, one.last),
                plain(one.trouble),
            )
            for one in material.metrics
        )
        parts.append(table(("Metric", "Mean before", "Lowest", "Highest", "Last", ""), rows))
    if material.metrics_trouble:
        parts.append(plain(material.metrics_trouble))
    return "\n\n".join(parts)


def _time(value: Any) -> datetime | None:
    try:
        read = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return read if read.tzinfo else None


def _number(name: str, value: float | None) -> str:
    return "" if value is None else figure(name, value)


def _peak(name: str, value: float | None, at: datetime | None) -> str:
    return "" if value is None or at is None else f"{figure(name, value)} at {at:%H:%M:%S} UTC"


# -- what was done ---------------------------------------------------------------------------------------


def _tried(stories: Sequence[Story]) -> str:
    """List what changed something outside, apart from messages and records: those are in the timeline."""
    rows = []
    for story in stories:
        for step in story.steps:
            effect = step.effect
            if effect is None or step.activity.partition(".")[0] in TELLING:
                continue
            change = " → ".join(filter(None, (effect.before, effect.after))) or step.result
            how = step.failure if step.outcome in {"failed", "timed out"} else effect.note or step.outcome
            rows.append(
                (
                    moment(step.scheduled_at),
                    step.section,
                    plain(step.title),
                    plain(effect.target),
                    plain(change),
                    plain(f"{'would: ' if effect.dry_run else ''}{how}"),
                    str(step.attempts),
                )
            )
    if not rows:
        return "## What was tried\n\nThe run changed nothing."
    heads = ("When", "Step", "What", "On", "Did", "How it went", "Attempts")
    decided = [
        f"- {moment(said.at)} {plain(said.text)}{f' — {plain(said.who)}' if said.who else ''}"
        for story in stories
        for said in story.said
        if said.kind == "decision"
    ]
    return "\n\n".join(filter(None, ["## What was tried", table(heads, rows), "\n".join(decided)]))


def _changes(material: Material) -> str:
    """List what changed before: releases that the run found out about, and other runs on the service."""
    before = [one for one in material.releases if one.at < material.main.started_at][-_RELEASES:]
    found = [f"- {moment(one.at)} {plain(one.what)} (`{one.source}`)" for one in before]
    runs = [
        f"- {moment(other.started_at)}{' (meanwhile)' if other.started_at >= material.main.started_at else ''} "
        f"{plain(other.title)} (`runbooks audit show {plain(other.run.workflow_id)}@{other.run.run_id}`): "
        f"{plain(other.outcome or other.status)}; {plain('; '.join(changes(other))) or 'it changed nothing'}"
        for other in sorted(material.changes, key=lambda story: (story.started_at, story.run.run_id))
    ]
    parts = ["## Contributing changes", "\n".join(found), "\n".join(runs)]
    if not found and not runs:
        parts.append("None is known: neither had a run changed this service lately, nor did this one find a release.")
    return "\n\n".join(filter(None, parts))


# -- what is left ----------------------------------------------------------------------------------------


def _open_questions(stories: Sequence[Story]) -> str:
    asked = [f"- {plain(question)}" for story in stories for question in _doubts(story)]
    return "## Open questions\n\n" + ("\n".join(asked) or "None that the run knows of.")


def _doubts(story: Story) -> Iterator[str]:
    for question in story.questions:
        if not question.by:
            yield f"Nobody has answered “{question.title}” ({question.id}), asked {moment(question.asked_at)}."
        elif question.by == "no answer":
            yield f"Why did nobody answer “{question.title}” ({question.id})? The run took: {question.choice}."
        elif question.escalated_at:
            yield f"Why did “{question.title}” ({question.id}) have to be escalated before {question.by} answered?"
    met = reached(story)
    for name, how in deadlines(story):
        if how == "missed":
            then = f"it was reached at {moment(met[name])}" if name in met else "it was never reached"
            yield f"Why was the deadline {name} missed? {then[0].upper()}{then[1:]}."
    for step in story.steps:
        if step.outcome in {"failed", "timed out"}:
            yield f"{step.section} {step.title} {step.outcome}: {step.failure}".lstrip()
    if story.unreadable:
        parts = f"{counted(story.unreadable, 'part')} of {story.run.workflow_id} {noun(story.unreadable, 'is', 'are')}"
        yield f"{parts} encrypted or redacted and could not be read."


def _evidence(stories: Iterable[Story]) -> str:
    kept = [
        f"- {plain(step.title)}: {plain(step.result)}"
        for story in stories
        for step in story.steps
        if step.activity.startswith("evidence.") and step.result
    ]
    runs = [
        f"- run {plain(story.run.workflow_id)}@{story.run.run_id}, {counted(story.events, 'event')}"
        + (f", took {lasted(took)}" if (took := story.took) else "")
        for story in stories
    ]
    return "\n".join(["## Evidence", "", *kept, *runs])
