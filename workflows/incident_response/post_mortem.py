"""The draft of a post-mortem, written from the run's timeline (runbook 2.2 step 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from workflows.incident_response.incident import Incident


def draft(incident: Incident, *, resolution: str, root_cause: str, when: datetime) -> str:
    """Write the draft: what is known is filled in, what people must add is left open and marked."""
    run = incident.run
    clocks = "\n".join(
        f"| {clock.name} | {clock.due_at:%H:%M:%S} | "
        f"{f'{clock.met_at:%H:%M:%S}' if clock.met_at else 'not reached'} | {'missed' if clock.missed else 'kept'} |"
        for clock in run.clocks.all
    )
    evidence = "\n".join(f"- `{item.uri}` (SHA-256 `{item.sha256}`)" for item in incident.evidence) or "- none"
    return f"""# Post-mortem {incident.id}: {incident.title}

| | |
|---|---|
| Severity | {incident.severity} |
| Service | {incident.service.name} |
| Commander | {incident.commander} |
| Opened | {incident.opened_at:%Y-%m-%d %H:%M:%S %Z} |
| Review | {when:%Y-%m-%d %H:%M %Z} |

## Summary

{resolution}

## Root cause

{root_cause}

## Deadlines

| Milestone | Due | Reached | |
|---|---|---|---|
{clocks}

## Timeline

{run.timeline.markdown()}

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
