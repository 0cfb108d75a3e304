"""What the channel reads in the morning (runbook 1.1 step 6)."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from pydantic import BaseModel

from activities.catalogue.service import Service
from activities.customers.tickets import Tickets
from activities.monitoring.prometheus import FiredAlerts
from activities.monitoring.runs import ServiceRuns
from activities.records.days import KnownAlerts
from activities.records.incidents import OpenIncidents
from audit.text import counted
from workflows.daily_operations.condition import Condition
from workflows.daily_operations.escalation import Outcome
from workflows.daily_operations.figures import Stretch
from workflows.daily_operations.local_day import LocalDay

_MOST = 8
_CIRCLES = {"GREEN": ":large_green_circle:", "YELLOW": ":large_yellow_circle:", "RED": ":red_circle:"}
_BECAME = {
    "joined": "It is down, and its incident is at work.",
    "started": "It is down: P1 incident response (2.2) is started.",
    "left": "It is down: P1 incident response (2.2) is to be started.",
}


class Night(BaseModel):
    """All that was found; None where it could not be read."""

    since: datetime
    condition: Condition
    fired: FiredAlerts | None
    alerts: KnownAlerts | None
    figures: Stretch
    tickets: Tickets | None
    runs: ServiceRuns | None
    incidents: OpenIncidents | None


def to_do(service: Service, night: Night) -> list[str]:
    """Say what people are to look at, the most urgent first."""
    found = [str(night.condition.parts[0])] if night.condition.down else []
    found += [
        f"{one.severity} {one.incident_id} is {one.status} ({one.commander or 'nobody'})"
        for one in (night.incidents.items if night.incidents else [])
    ]
    known = {alert.name for alert in night.alerts.items} if night.alerts else set()
    found += [f"{alert} and no incident has it" for alert in _firing(night) if alert not in known]
    tickets = night.tickets.items if night.tickets else []
    found += [f"ticket {ticket}" for ticket in tickets if ticket.priority in {"P1", "P2"}]
    found += [f"{run} waits for a person" for run in (night.runs.items if night.runs else []) if run.waiting_for]
    if any(part.name == "error rate" for part in night.condition.unwell) and not night.condition.down:
        found.append(f"its error rate: `runbooks start rollback --set service={service.name}` if a release is to blame")
    unread = {
        "the alerts of Prometheus": night.fired,
        "the alerts of the records": night.alerts,
        "the support queue": night.tickets,
        "open runs": night.runs,
        "open incidents": night.incidents,
    }
    found += [f"{what} could not be read" for what, read in unread.items() if read is None]
    return found


def summary(
    service: Service, day: LocalDay, night: Night, todo: list[str], became: Outcome | None, *, asks: bool
) -> str:
    """Write it, for Slack."""
    overall = night.condition.overall
    lines = [f"{_CIRCLES[overall]} *{service.name}: {overall}* in the morning of {day.day:%A, %d %B %Y}"]
    if became:
        lines.append(f":rotating_light: {_BECAME[became]}")
    if asks:
        lines.append(":rotating_light: It is down. People are asked whether an incident is to be started.")
    well = len(night.condition.parts) - len(night.condition.unwell)
    lines.append(f"*Health:* {well} of {counted(len(night.condition.parts), 'component')} GREEN")
    lines += [f"• {part}" for part in night.condition.unwell]
    lines.append(f"*Alerts since {day.clock(night.since)}:* {_alerts(night)}")
    stretch = night.figures
    gaps = f" ({stretch.gaps})" if stretch.gaps else ""
    lines.append(
        f"*Figures:* uptime {stretch.shown('uptime')}, error rate {stretch.shown('error rate')}{gaps}, "
        f"DAU {stretch.shown('dau')}, MRR {stretch.shown('mrr')}"
    )
    lines.append(f"*Support:* {_support(night.tickets)}")
    lines += _held(night)
    lines.append("*To look at:*" if todo else "*To look at:* nothing")
    lines += listed(todo)
    return "\n".join(lines)


def listed(items: Iterable[str]) -> list[str]:
    """Give a list that a channel can read: what is beyond its length is counted."""
    every = list(items)
    more = [f"• and {len(every) - _MOST} more"] if len(every) > _MOST else []
    return [*(f"• {item}" for item in every[:_MOST]), *more]


def _firing(night: Night) -> Iterator[str]:
    yield from (alert.name for alert in (night.fired.items if night.fired else []) if alert.firing)


def _alerts(night: Night) -> str:
    by_prometheus = None if night.fired is None else [str(alert) for alert in night.fired.items]
    named = {alert.name for alert in night.fired.items} if night.fired else set()
    others = None if night.alerts is None else [str(one) for one in night.alerts.items if one.name not in named]
    both = list(dict.fromkeys([*(by_prometheus or []), *(others or [])]))
    shown = ", ".join(both[:_MOST]) + (f" and {len(both) - _MOST} more" if len(both) > _MOST else "")
    if by_prometheus is None and others is None:
        return "not known"
    unknown = " (Prometheus could not be asked)" if by_prometheus is None else ""
    return (shown or "none") + unknown


def _support(tickets: Tickets | None) -> str:
    if tickets is None:
        return "not known"
    urgent = {priority: sum(one.priority == priority for one in tickets.items) for priority in ("P1", "P2")}
    return f"{urgent['P1']} P1, {urgent['P2']} P2, {counted(len(tickets.items), 'open ticket')} in all"


def _held(night: Night) -> list[str]:
    lines = ["*Held:*", *listed(night.condition.held)] if night.condition.held else []
    if night.runs is None:
        return [*lines, "*Open runs:* not known"]
    if night.runs.items:
        lines += ["*Open runs:*", *listed(map(str, night.runs.items))]
    if night.runs.missed:
        lines.append(f"*Schedules:* {counted(night.runs.missed, 'run has', 'runs have')} come too late after outages")
    return lines
