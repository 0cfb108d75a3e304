"""A run for people who look at a terminal: deadlines, open questions, timeline."""

from datetime import datetime, timedelta

from rich import box
from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from audit.text import MARKS, titled
from workflows.platform.approval import OpenQuestion
from workflows.platform.clocks import Clock
from workflows.platform.run_status import RunStatus
from workflows.platform.timeline import Entry, Kind

_STYLES: dict[Kind, str] = {
    "phase": "bold cyan",
    "step": "dim",
    "effect": "green",
    "decision": "bold yellow",
    "note": "magenta",
    "deadline": "blue",
    "signal": "yellow",
    "problem": "bold red",
}
_OUTCOMES = {"closed": "green", "planned": "cyan", "cancelled": "red"}
_LATEST = 18


def render(
    status: RunStatus, *, now: datetime, link: str = "", run: str = "RUN", latest: int | None = _LATEST
) -> RenderableType:
    """Show a run at a glance, with the `latest` entries of its timeline, or all.

    `now` is what clocks are read at: the present for a run that goes on, the run's own `now` for one that has ended.
    `run` is what commands are to call a run that has no incident.
    """
    name = status.incident_id or run
    parts: list[RenderableType] = [_header(status, link), _clocks(status, now)]
    parts += [render_question(question, run=name) for question in status.questions]
    if status.waiting_for == "close":
        parts.append(Text(f"runbooks close {name} --resolution … --root-cause …", style="bold yellow"))
    if status.board:
        parts.append(Panel(Markdown(status.board), title="at a glance", border_style="dim"))
    parts.append(timeline_table(status, latest=latest))
    return Group(*parts)


def timeline_table(status: RunStatus, *, latest: int | None = None) -> RenderableType:
    """Show the timeline, all of it or the `latest` entries."""
    entries = status.entries if latest is None else status.entries[-latest:]
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("time", no_wrap=True, style="dim")
    table.add_column("step", no_wrap=True, style="dim")
    table.add_column("what", ratio=1, overflow="fold")
    hidden = len(status.entries) - len(entries)
    if hidden:
        table.add_row("", "", Text(f"… {hidden} earlier", style="dim"))
    for entry in entries:
        table.add_row(f"{entry.at.astimezone():%H:%M:%S}", entry.section, _what(entry))
    return table


def _what(entry: Entry) -> Text:
    style = _STYLES[entry.kind]
    text = Text(f"{MARKS[entry.kind]} ", style=style)
    text.append(entry.text, style=style if entry.kind in {"phase", "decision", "problem"} else "")
    if entry.who:
        text.append(f" — {entry.who}", style="magenta")
    if entry.seconds is not None and entry.seconds >= 1:
        text.append(f"  {entry.seconds:.1f} s", style="dim")
    return text


def _header(status: RunStatus, link: str) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    outcome = Text(status.outcome or "running", style=_OUTCOMES.get(status.outcome, "bold"))
    rows: list[tuple[str, RenderableType]] = [
        ("incident", Text(status.incident_id)),
        ("service", Text(status.service)),
        ("phase", Text(status.phase)),
        ("outcome", outcome),
        ("waiting for", Text(status.waiting_for, style="bold yellow")),
        ("run", Text(link, style=f"link {link}", no_wrap=True, overflow="ellipsis")),
    ]
    for name, value in rows:
        if str(value):
            grid.add_row(Text(name, style="dim"), value)
    title = " ".join(filter(None, (status.section, titled(status.severity, status.title))))
    plan = " — plan only, nothing is changed" if status.dry_run else ""
    return Panel(
        grid, title=Text(f"{title}{plan}"), title_align="left", border_style="red" if not status.outcome else "green"
    )


def _clocks(status: RunStatus, now: datetime) -> RenderableType:
    line = Text()
    for clock in status.clocks:
        line.append(f"{clock.name} ", style="dim")
        line.append_text(_clock(clock, status, now))
        line.append("   ")
    return line


def _clock(clock: Clock, status: RunStatus, now: datetime) -> Text:
    if clock.met_at is not None:
        took = _short(clock.met_at - status.started_at)
        return Text(f"✓ {took}{' late' if clock.missed else ''}", style="yellow" if clock.missed else "green")
    if clock.missed or now > clock.due_at:
        return Text(f"✗ missed by {_short(now - clock.due_at)}" if not status.outcome else "✗ missed", style="bold red")
    if status.outcome:
        return Text("– not reached", style="dim")
    return Text(f"{_short(clock.due_at - now)} left", style="bold")


def render_question(question: OpenQuestion, *, run: str) -> RenderableType:
    """Show a question with its evidence, what happens without an answer, and how to answer."""
    grid = Table.grid(padding=(0, 2))
    for choice, does in question.options.items():
        marks = [name for name, other in (("recommended", question.recommended), ("default", question.default))
                 if other == choice]  # fmt: skip
        grid.add_row(Text(choice, style="bold"), Text(does), Text(", ".join(marks), style="dim"))
    evidence = Text("\n".join(f"· {line}" for line in question.evidence), style="dim")
    due = question.asked_at + question.timeout * (2 if question.escalated else 1)
    then = f"then: {question.default}" if question.escalated else "then: escalation"
    foot = Text(f"{', '.join(question.roles)} may decide until {due.astimezone():%H:%M:%S}, {then}", style="dim")
    if question.two_persons:
        said = f"; {question.first.by} has said {question.first.choice}" if question.first else ""
        foot.append(f"\nanything but {question.default} takes two people{said}")
    how = Text(f"runbooks approve {run} --question {question.id} --choice …", style="bold yellow")
    title = Text(f"{question.id}: {question.title}")
    return Panel(Group(grid, evidence, foot, how), title=title, title_align="left", border_style="yellow")


def _short(span: timedelta) -> str:
    seconds = span / timedelta(seconds=1)
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} h" if hours else f"{minutes}:{seconds:02} min"
