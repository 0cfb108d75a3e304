"""The evening's handoff to whoever is on call (runbook 1.3 steps 2 to 4), in Markdown, and as Slack reads it."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import BaseModel

from activities.catalogue.service import Service
from activities.customers.tickets import Tickets
from activities.monitoring.runs import ServiceRuns
from activities.records.days import KnownAlerts, Report, Reports, Shifts
from activities.records.deployments import Deployments
from activities.records.incidents import OpenIncidents
from activities.records.windows import PlannedWindows
from audit.text import counted, plain, table
from workflows.daily_operations.condition import Condition
from workflows.daily_operations.figures import Stretch
from workflows.daily_operations.local_day import LocalDay

_MOST = 12
_CHANNEL = 3500
"""Characters that a channel reads; the record has it whole."""


class Evening(BaseModel):
    """All that was found; None where it could not be read."""

    now: datetime
    condition: Condition
    figures: Stretch
    alerts: KnownAlerts | None
    incidents: OpenIncidents | None
    deployments: Deployments | None
    tickets: Tickets | None
    runs: ServiceRuns | None
    shifts: Shifts | None
    windows: PlannedWindows | None
    before: Reports | None


def kept_figures(evening: Evening) -> dict[str, float | None]:
    """Give the figures that tomorrow is compared with."""
    missed = float(evening.runs.missed) if evening.runs else None
    return {**evening.figures.values, "missed schedules": missed}


def handoff(service: Service, day: LocalDay, evening: Evening) -> str:
    """Write it."""
    begin, end = day.tomorrow()
    parts = [
        f"# {service.name}, {day.day:%A, %d %B %Y} ({service.time_zone})",
        f"It is **{evening.condition.overall}** at {day.clock(evening.now)}.",
        *(f"- {plain(str(part))}" for part in evening.condition.unwell),
        "## Figures of the day",
        table(("Figure", "Today", "Yesterday", "A week ago"), _figures(day, evening)),
        "## Open incidents",
        *_listed(_incidents(day, evening)),
        "## Held, and runs that go on",
        *_listed(_held(evening)),
        "## Changes of the day",
        *_listed(_changes(day, evening)),
        "## Pending tickets",
        *_listed(_tickets(evening)),
        f"## Tomorrow, {begin:%A}",
        *_listed(_tomorrow(day, evening, begin, end)),
        "## What to watch",
        *_listed(_watch(service, evening)),
    ]
    return "\n".join(parts) + "\n"


def for_slack(markdown: str) -> str:
    """Give Markdown of ours as Slack's mrkdwn; what is too long for a channel is cut off, and said."""
    lines = []
    heads: list[str] = []
    for line in markdown.splitlines():
        if set(line) <= set("|-") and line:
            continue
        if line.startswith("|"):
            first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            if not heads:
                heads = cells
                continue
            # Slack has no tables: each cell has its column's name.
            named = (f"{head.lower()} {cell}" for head, cell in zip(heads, cells, strict=True))
            line = f"• {first}: {', '.join(named)}"  # noqa: PLW2901
        else:
            heads = []
        heading = re.match(r"#+ (.*)", line)
        line = f"*{heading[1]}*" if heading else re.sub(r"^- ", "• ", line)  # noqa: PLW2901
        lines.append(re.sub(r"\*\*(.+?)\*\*", r"*\1*", line))
    # Our own escapes are Markdown's; Slack knows none, and what it reads as markup is escaped on the way to it.
    text = re.sub(r"\\([\\`*\[\]|#!~])", r"\1", "\n".join(lines))
    text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return text if len(text) <= _CHANNEL else f"{text[:_CHANNEL]}…\n(all of it: the report in the records)"


def compared(now: float | None, before: Report | None, name: str) -> str:
    """Say how a figure has changed since a report."""
    if before is None:
        return "no report"
    then = before.figures.get(name)
    if then is None or now is None:
        return "not known"
    change = f"{now - then:+,.0f}" if now != then else "±0"
    share = f" ({(now - then) / then:+.1%})" if then and now != then else ""
    return f"{then:,.0f}: {change}{share}"


def _figures(day: LocalDay, evening: Evening) -> Iterator[tuple[str, str, str, str]]:
    stretch, reports = evening.figures, evening.before
    then = [None if reports is None else reports.of(day.day - timedelta(days=ago)) for ago in (1, 7)]
    for name, title in (("uptime", "Uptime"), ("errors", "Errors"), ("new_customers", "New customers"), ("mrr", "MRR")):
        others = [
            "not known"
            if reports is None
            else _share(report)
            if name == "uptime"
            else compared(stretch.values.get(name), report, name)
            for report in then
        ]
        yield title, stretch.shown(name), others[0], others[1]


def _share(report: Report | None) -> str:
    if report is None:
        return "no report"
    value = report.figures.get("uptime")
    return "not known" if value is None else f"{value:.3%}"


def _incidents(day: LocalDay, evening: Evening) -> Iterator[str]:
    if evening.incidents is None:
        yield "not known: the records could not be asked"
        return
    for one in evening.incidents.items:
        since = day.clock(one.opened_at)
        who = plain(one.commander or "nobody")
        yield f"**{one.severity} {one.incident_id}** {plain(one.title)}: {one.status} since {since}, {who} has it"


def _held(evening: Evening) -> Iterator[str]:
    yield from map(plain, evening.condition.held)
    if evening.runs is None:
        yield "which runs go on is not known: Temporal could not be asked"
        return
    for run in evening.runs.items:
        waiting = f", waits for a person: {plain(run.waiting_for)}" if run.waiting_for else ""
        yield f"{plain(run.title or run.procedure)} (`{run.workflow_id}`){waiting}"


def _changes(day: LocalDay, evening: Evening) -> Iterator[str]:
    if evening.deployments is None:
        yield "not known: the records could not be asked"
        return
    for one in evening.deployments.items:
        if day.local(one.started_at).date() == day.day:
            became = one.status.replace("_", " ")
            yield f"{day.clock(one.started_at)} {plain(one.version)} {became} ({plain(one.deployer)})"


def _tickets(evening: Evening) -> Iterator[str]:
    if evening.tickets is None:
        yield "not known: the records could not be asked"
        return
    for one in evening.tickets.items:
        late = " **its update is overdue**" if one.update_due_at and one.update_due_at < evening.now else ""
        who, age = plain(one.assignee or "nobody"), _age(evening.now - one.opened_at)
        yield f"{one.priority} {one.ticket_id} {plain(one.title)}, {age} old, {who}{late}"


def _age(span: timedelta) -> str:
    hours = int(span / timedelta(hours=1))
    return counted(hours // 24, "day") if hours >= 48 else counted(hours, "hour")  # noqa: PLR2004


def _tomorrow(day: LocalDay, evening: Evening, begin: datetime, end: datetime) -> Iterator[str]:
    if evening.shifts is None:
        yield "who is on call is not known: the records could not be asked"
    elif not evening.shifts.items:
        yield "nobody is entered as on call"
    for shift in evening.shifts.items if evening.shifts else []:
        hours = f"{day.local(shift.begin):%a %H:%M} to {day.local(shift.end):%a %H:%M}"
        yield f"on call, level {shift.level}: {plain(shift.contact)}, {hours}"
    if evening.windows is None:
        yield "its maintenance windows are not known: the records could not be asked"
    for window in evening.windows.items if evening.windows else []:
        hours = f"{day.local(window.starts_at):%a %H:%M} to {day.local(window.ends_at):%a %H:%M}"
        begun = ", in progress" if window.status == "in_progress" else ""
        yield f"maintenance {window.window_id}: {plain(window.title)}, {hours}{begun}"
    for schedule in evening.runs.schedules if evening.runs else []:
        due = [f"{day.local(at):%H:%M}" for at in schedule.upcoming if begin <= at < end]
        if schedule.paused:
            yield f"{schedule.name} is **paused**"
        elif due:
            yield f"{schedule.name} at {due[0]}{' and later' if due[1:] else ''}"


def _watch(service: Service, evening: Evening) -> Iterator[str]:
    for part in evening.condition.unwell:
        yield f"{part.name}: {plain(part.why)}"
    if evening.figures.gaps:
        yield f"its error rate is {evening.figures.gaps}: does Prometheus reach it?"
    if evening.alerts is None:
        yield "its alerts are not known: the records could not be asked"
    for alert in evening.alerts.items if evening.alerts else []:
        if alert.resolved_at is None:
            yield f"{plain(alert.name)} ({alert.severity}) still fires"
    earlier = evening.before.items if evening.before else []
    yesterday = max(earlier, key=lambda report: report.day, default=None)
    missed = evening.runs.missed if evening.runs else 0
    known = int(yesterday.figures.get("missed schedules") or 0) if yesterday else 0
    if missed > known:
        late = counted(missed - known, "scheduled run has", "scheduled runs have")
        yield f"{late} come too late: `runbooks schedules list`"
    if evening.deployments and any(one.status == "started" for one in evening.deployments.items):
        yield f"a release of {service.name} is not complete"


def _listed(lines: Iterator[str]) -> list[str]:
    every = list(lines)
    more = [f"- and {len(every) - _MOST} more"] if len(every) > _MOST else []
    return [*(f"- {line}" for line in every[:_MOST]), *more] or ["- none"]
