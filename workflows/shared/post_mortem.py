"""The draft of a post-mortem, written from the run's timeline (runbook 2.2 step 14)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from activities.evidence.evidence import StoredEvidence
from workflows.platform.clocks import Clock


@dataclass(frozen=True)
class PostMortemFacts:
    """What is known of an incident once it is over."""

    id: str
    title: str
    severity: str
    service: str
    commander: str
    opened_at: datetime
    clocks: Sequence[Clock]
    timeline: str
    """Markdown."""

    evidence: Sequence[StoredEvidence]


def draft(incident: PostMortemFacts, *, resolution: str, root_cause: str, when: datetime) -> str:
    """Write the draft: what is known is filled in, what people must add is left open and marked."""
    clocks = "\n".join(row for clock in incident.clocks for row in _rows(clock))
    evidence = "\n".join(f"- `{item.uri}` (SHA-256 `{item.sha256}`)" for item in incident.evidence) or "- none"
    return f"""# Post-mortem {incident.id}: {incident.title}

| | |
|---|---|
| Severity | {incident.severity} |
| Service | {incident.service} |
| Commander | {incident.commander} |
| Opened | {incident.opened_at:%Y-%m-%d %H:%M:%S %Z} |
| Review | {when:%Y-%m-%d %H:%M %Z} |

## Summary

{resolution}

## Root cause

{root_cause}

## Deadlines

| Milestone | Due (UTC) | Reached (UTC) | |
|---|---|---|---|
{clocks}

## Timeline

{incident.timeline}

## Evidence

{evidence}

## To be filled in at the review

- Impact on customers:
- What went well:
- What went badly:
- Where we were lucky:

| Action item | Owner | Due |
|---|---|---|
| | | |
"""


def _rows(clock: Clock) -> Iterator[str]:
    """Give a deadline's row, and before it one for each time that it was reached and lost again."""
    for lapse in clock.lapses:
        kept = "missed" if lapse.missed else "kept"
        yield f"| {clock.name} | | {lapse.met_at:%H:%M:%S}, lost at {lapse.lost_at:%H:%M:%S} | {kept} |"
    met = f"{clock.met_at:%H:%M:%S}" if clock.met_at else "not reached"
    yield f"| {clock.name} | {clock.due_at:%H:%M:%S} | {met} | {'missed' if clock.missed else 'kept'} |"
