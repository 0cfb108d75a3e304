"""A run in five lines, in the order in which people ask: what happened, why, what was done, how long, who."""

from collections.abc import Iterator
from datetime import datetime

from audit.report_reading import reached, resolved_at
from audit.story import Story
from audit.text import lasted, moment, titled

TELLING = frozenset({"records", "slack", "paging", "statuspage", "evidence", "mail"})
"""Systems whose effects tell people something; they bring no service back."""

_MOST = 6


def gist(story: Story, now: datetime | None = None) -> list[tuple[str, str]]:
    """Give them, as plain text; a line of which nothing is known isn't there.

    `now` is until when an open run has lasted; without it, that isn't said.
    """
    said = closing(story)
    lines = [
        ("What happened", f"{titled(story.severity, story.title or story.run.workflow_type)}: {_cause(story)}"),
        ("Cause", said["root_cause"] or _found(story)),
        ("What was done", "; ".join(filter(None, (said["resolution"], *_done(story))))),
        ("How long", _lasted(story, now)),
        ("Who", ", ".join(story.actors) or "nobody had to say a word"),
    ]
    return [(name, text) for name, text in lines if text]


def closing(story: Story) -> dict[str, str]:
    """Give what people said when they closed it; the last word counts, and the result where there is none."""
    found = {"resolution": "", "root_cause": ""}
    result = story.result if isinstance(story.result, dict) else {}
    for said in (result, *(word.fields for word in story.words)):
        found = {name: str(said.get(name) or before) for name, before in found.items()}
    return found


def changes(story: Story) -> Iterator[str]:
    """Name what changed outside, messages and records apart: `deployment/api: 3 → 6`."""
    for step in story.steps:
        effect = step.effect
        if effect is None or step.activity.partition(".")[0] in TELLING or step.outcome != "completed":
            continue
        change = " → ".join(filter(None, (effect.before, effect.after)))
        if effect.target and change:
            yield f"{'would: ' if effect.dry_run else ''}{effect.target}: {change}"


def _cause(story: Story) -> str:
    alert = story.trigger.alert or {}
    parts = (story.trigger.by, str(alert.get("name") or ""), str(alert.get("summary") or ""))
    told = " — ".join(filter(None, parts)) or "not told by whom"
    kind = {"alert": "an alert", "person": "a person", "parent": "another run", "earlier run": "an earlier run"}
    return f"{kind.get(story.trigger.kind, 'the schedule')} started it, {told}"


def _found(story: Story) -> str:
    """Give what the run itself concluded, where nobody has told a cause."""
    pointed = [said.text for said in story.said if said.kind == "decision" and said.text.startswith("It points to")]
    return f"not told by anybody. {pointed[-1]}" if pointed else ""


def _done(story: Story) -> list[str]:
    found = list(dict.fromkeys(changes(story)))
    if len(found) > _MOST:
        return [*found[:_MOST], f"and {len(found) - _MOST} more changes"]
    return found


def _lasted(story: Story, now: datetime | None) -> str:
    met, over = reached(story), resolved_at(story)
    told = [f"{name.lower()} after {lasted(at - story.started_at)}" for name, at in met.items() if name == "Mitigated"]
    if over is not None:
        told.append(f"over after {lasted(over - story.started_at)}")
    elif story.ended_at is not None:
        told.append(f"{story.status} after {lasted(story.ended_at - story.started_at)}")
    elif now is not None:
        told.append(f"open for {lasted(now - story.started_at)}")
    return f"{', '.join(told)}; began {moment(story.started_at)}" if told else ""
