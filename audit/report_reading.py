"""What a report asks of one story: milestones, deadlines, leases."""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from audit.deadlines import Stood, stood
from audit.story import Question, Story, Timer

_PERSON = re.compile(r".* \((?P<role>[^()]+)\)", re.DOTALL)
_HOLDING_ON = frozenset({"extend", "note", "decide"})
"""People's words that don't end a lease."""

DeadlineEnd = Literal["kept", "missed", "open"]
LeaseEnd = Literal["expired", "by_person", "by_failure", "open"]


def reached(story: Story) -> dict[str, datetime]:
    """Say when each milestone was reached for good, by the run's own word: one may be lost again.

    A history from before runs wrote that down has only the deadlines' timers: stopped before the run's end is reached.
    """
    found = {name: one.met_at for name, one in _stood(story).items() if one.met_at is not None}
    if not story.said:
        for timer in _deadlines(story):
            if timer.canceled_at and (story.ended_at is None or timer.canceled_at < story.ended_at):
                found[timer.name] = timer.canceled_at
    return found


def deadlines(story: Story) -> Iterator[tuple[str, DeadlineEnd]]:
    """Give how each deadline ended; at a run's end the timers of all others are stopped, which keeps none of them."""
    met, timers = reached(story), _deadlines(story)
    for timer in timers:
        yield timer.name, "missed" if timer.fired_at else "kept" if timer.name in met else "open"
    # A run that was reset has none for those that were over before: it says when they were.
    timed = {timer.name for timer in timers}
    for name, one in _stood(story).items():
        if name not in timed:
            yield name, "missed" if one.missed_at else "kept" if name in met else "open"


def _stood(story: Story) -> dict[str, Stood]:
    return stood((said.at, said.text) for said in story.said if said.kind == "deadline")


def _deadlines(story: Story) -> list[Timer]:
    return [timer for timer in story.timers if timer.kind == "deadline"]


_GOES_ON_AS_P1 = frozenset({"taken in", "raised"})
"""How a P2 ends whose incident, with its number, is a P1's from then on: it is counted there, and once."""


def is_incident(story: Story) -> bool:
    """Tell an incident's own run: it has a severity, and deadlines; what it started for it may have its ID."""
    if story.outcome in _GOES_ON_AS_P1:
        return False
    return bool(story.incident_id and story.severity and [*deadlines(story)])


def resolved_at(story: Story) -> datetime | None:
    """Say when an incident was over; None where it isn't, or was left to people."""
    over = story.status in {"completed", "continued as new"} and story.outcome not in {"", "cancelled"}
    return story.ended_at if over else None


def role_of(question: Question) -> str | None:
    """Give the role of the person who answered; None where no person did."""
    match = _PERSON.fullmatch(question.by)
    return match["role"] if match else None


@dataclass(frozen=True)
class Lease:
    """One lease: the timers of one name, each with a later end than the one before."""

    name: str
    began_at: datetime
    ended_at: datetime | None
    extended: int
    end: LeaseEnd


def leases(story: Story) -> Iterator[Lease]:
    """Put the leases together."""
    timers: dict[str, list[Timer]] = defaultdict(list)
    for timer in sorted(story.timers, key=lambda timer: timer.event_id):
        if timer.kind == "lease":
            timers[timer.name.partition(" until ")[0]].append(timer)
    for name, parts in timers.items():
        last = parts[-1]
        ended = last.fired_at or last.canceled_at
        yield Lease(name, parts[0].started_at, ended, len(parts) - 1, _end(story, last))


def _end(story: Story, last: Timer) -> LeaseEnd:
    if last.fired_at:
        return "expired"
    if last.canceled_at is None:
        # A run that was terminated leaves its timers as they were.
        return "open" if story.ended_at is None else "by_failure"
    words = (word for word in story.words if word.update not in _HOLDING_ON)
    person = any(last.started_at <= word.at <= last.canceled_at for word in words)
    return "by_person" if person else "by_failure"
