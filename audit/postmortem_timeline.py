"""The timeline of a post-mortem: what the runs said, did and were told, in one order."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from audit.story import Story
from audit.text import MARKS, lasted, moment, plain

_NOTICED = 1.0


def lines(stories: Sequence[Story]) -> list[str]:
    """Give a line for each, oldest first; of those of one moment, as they stand in the stories."""
    entries = [(at, text) for story in stories for at, text in _entries(story)]
    entries.sort(key=lambda entry: entry[0])
    return [f"- {moment(at)} {text}" for at, text in entries]


def _entries(story: Story) -> Iterator[tuple[datetime, str]]:
    title = plain(story.title)
    yield story.started_at, f"▶ **{title}** started ({story.trigger.kind} {plain(story.trigger.by)})".replace(" )", ")")
    for said in story.said:
        text = f"**{plain(said.text)}**" if said.kind == "phase" else plain(said.text)
        yield said.at, f"{MARKS.get(said.kind, '·')} {_section(said.section)}{text}{_who(said.who)}"
    for step in story.steps:
        if step.ended_at is None or step.outcome != "completed":
            continue
        effect = step.effect
        mark = "→" if effect else "·"
        change = " → ".join(filter(None, (effect.before, effect.after))) if effect else ""
        told = f"{effect.target} {change}".strip() if effect and change else step.result
        would = "would: " if effect and effect.dry_run else ""
        took = step.took
        slow = f" _({lasted(took)})_" if took and took.total_seconds() >= _NOTICED else ""
        again = f" (attempt {step.attempts})" if step.attempts > 1 else ""
        yield step.ended_at, f"{mark} {_section(step.section)}{plain(step.title)}: {would}{plain(told)}{again}{slow}"
    for word in story.words:
        text = word.fields.get("text") or word.fields.get("choice") or word.fields.get("reason") or ""
        who = f"{word.who} ({word.role})" if word.role else word.who
        yield word.at, f"✎ {plain(word.update)} {plain(str(text))}".rstrip() + _who(who)
    for signal in story.signals:
        yield signal.at, f"⚑ {plain(signal.name)} {plain(_about(signal.body))}".rstrip()
    if story.ended_at:
        yield story.ended_at, f"■ **{title}** {plain(story.outcome or story.status)}"


def _section(section: str) -> str:
    return f"`{plain(section)}` " if section else ""


def _who(who: str) -> str:
    return f" — {plain(who)}" if who else ""


def _about(body: object) -> str:
    if not isinstance(body, dict):
        return ""
    return " ".join(str(body[name]) for name in ("name", "status", "summary") if body.get(name))
