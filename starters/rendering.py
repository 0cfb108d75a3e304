"""A run's status for the terminal: clocks, questions, what it waits for, timeline."""

from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from workflows.shared.approval import OpenQuestion
from workflows.shared.clocks import Clock
from workflows.shared.runbook import RunStatus
from workflows.shared.timeline import Entry, Kind

_STYLES: dict[Kind, tuple[str, str]] = {
    "phase": ("▌", "bold cyan"),
    "step": ("·", "default"),
    "effect": ("→", "green"),
    "decision": ("?", "magenta"),
    "note": ("✎", "blue"),
    "deadline": ("⏱", "yellow"),
    "signal": ("⚑", "yellow"),
    "problem": ("⚠", "red"),
}


def render_status(
    status: RunStatus, *, now: datetime | None = None, run: str = "RUN", state: str = "", link: str = "",
    entries: int | None = None,
) -> RenderableType:  # fmt: skip
    """Render a status.

    `now` is the time that clocks are read at: the present for a run that goes on, the run's own for one that has ended.
    `run` is what commands call it, `state` is Temporal's word for it, `entries` bounds the timeline to its last lines.
    """
    now = now or status.now
    run = status.incident_id or run
    parts: list[RenderableType] = [_heading(status, now, state)]
    if status.clocks:
        parts.append(_clocks(status.clocks, now, ended=bool(status.outcome)))
    parts += [render_question(question, now, run) for question in status.questions]
    if status.waiting_for and not status.questions:
        parts.append(_waiting(status.waiting_for, run))
    parts.append(_timeline(status.entries, entries))
    if link:
        parts.append(Text(link, style=f"link {link} dim", overflow="fold"))
    return Group(*parts)


def _heading(status: RunStatus, now: datetime, state: str) -> RenderableType:
    title = Text.assemble((f"{status.section} ", "dim"), (status.title or status.procedure, "bold"))
    if status.dry_run:
        title.append("  plan only, nothing is changed", style="bold yellow")
    grid = Table.grid(padding=(0, 2))
    facts = {
        "service": status.service,
        "severity": status.severity,
        "incident": status.incident_id,
        "phase": status.phase,
        "state": " · ".join(filter(None, (state, status.outcome))),
        "started": f"{status.started_at:%Y-%m-%d %H:%M:%S} UTC, {_span(now - status.started_at)} ago",
    }
    for name, value in facts.items():
        if value:
            grid.add_row(Text(name, style="dim"), Text(value))
    return Panel(grid, title=title, title_align="left", border_style="red" if not status.outcome else "green")


def _clocks(clocks: list[Clock], now: datetime, *, ended: bool) -> RenderableType:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for clock in clocks:
        if clock.met_at is not None:
            met = Text(f"{clock.met_at:%H:%M:%S}", style="green" if not clock.missed else "yellow")
            late = f"late by {_span(clock.met_at - clock.due_at)}"
            left = Text(late if clock.missed else "kept", style=met.style)
        elif clock.missed or (clock.due_at <= now and not ended):
            met, left = Text("✗", style="bold red"), Text(f"missed by {_span(now - clock.due_at)}", style="bold red")
        else:
            met, left = Text("…", style="dim"), Text("not reached" if ended else f"{_span(clock.due_at - now)} left")
        table.add_row(Text(clock.name), Text(f"due {clock.due_at:%H:%M:%S}", style="dim"), met, left)
    return table


def render_question(question: OpenQuestion, now: datetime, run: str) -> RenderableType:
    """Render a question with its evidence, and how to answer it."""
    lines = [Text(fact, style="dim") for fact in question.evidence]
    for choice, does in question.options.items():
        mark = " (recommended)" if choice == question.recommended else ""
        lines.append(Text.assemble("  ", (choice, "bold"), (mark, "green"), f": {does}"))
    due = question.asked_at + question.timeout * (2 if question.escalated else 1)
    then = f"{question.default} is taken" if question.escalated else "it is escalated"
    lines.append(Text(f"Without an answer within {_span(due - now)} {then}.", style="yellow"))
    lines.append(Text(f"May decide: {', '.join(question.roles) or 'nobody'}", style="dim"))
    lines.append(Text(f"runbooks approve {run} --question {question.id} --choice …", style="bold"))
    title = Text(f"{question.title} [{question.id}]", style="bold")
    return Panel(Group(*lines), title=title, title_align="left", border_style="magenta")


def _waiting(what: str, run: str) -> RenderableType:
    lines = [Text.assemble("Waiting for: ", (what, "bold"))]
    if what == "close":
        lines.append(Text(f"runbooks close {run} --resolution … --root-cause …", style="bold"))
    return Panel(Group(*lines), border_style="magenta")


def _timeline(entries: list[Entry], shown: int | None) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    for style in ("dim", "default", "dim"):
        table.add_column(style=style, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim", justify="right", no_wrap=True)
    kept = entries if shown is None else entries[len(entries) - min(shown, len(entries)) :]
    if len(kept) < len(entries):
        table.add_row("", "", "", Text(f"… {len(entries) - len(kept)} earlier", style="dim"), "")
    for entry in kept:
        mark, style = _STYLES[entry.kind]
        text = Text(entry.text, style=style)
        if entry.who:
            text.append(f" ({entry.who})", style="italic")
        took = f"{entry.seconds:.1f} s" if entry.seconds is not None and entry.seconds >= 1 else ""
        table.add_row(f"{entry.at:%H:%M:%S}", Text(mark, style=style), entry.section, text, took)
    return table


def _span(span: timedelta) -> str:
    """Say a duration as people do: `4:05`, or `2:00:00` with hours."""
    seconds = max(0, int(span.total_seconds()))
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
