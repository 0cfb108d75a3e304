"""A run for people who look at a terminal: what happens now, what they can do, deadlines, timeline."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from audit.text import MARKS, alternatives, titled
from starters.cli.lists import Hanging, Line
from starters.cli.spans import ago, clock_time
from starters.steering.actions import Action
from starters.steering.ending import Ending
from starters.steering.listing import until
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
_ENDED = {"failed": "red", "timed out": "red", "terminated": "red", "cancelled": "yellow", "planned": "cyan"}
LATEST = (18, 12, 8, 5)
"""How many entries of the timeline: as many as leave what stands above them on the screen, and the fewest at least."""

_BELOW = 4
"""Lines that the link and the prompt take after it."""


@dataclass(frozen=True)
class Shown:
    """What is shown of a run beside its own status."""

    now: datetime
    """What clocks are read at: the present for a run that goes on, the run's own `now` for one that has ended."""

    run: str = "RUN"
    """What commands are to call it."""

    link: str = ""
    doing: tuple[str, ...] = ()
    """What it is doing just now, as Temporal has it."""

    actions: tuple[Action, ...] = ()
    roles: tuple[str, ...] = ()
    """Who may do what it waits for, where that is no question."""

    ended: Ending | None = None
    ended_at: datetime | None = None
    latest: int | None = LATEST[0]
    """How many entries of the timeline; None shows all."""


def render(status: RunStatus, shown: Shown) -> RenderableType:
    """Show a run at a glance: what happens now, what a person can do, and then the rest, the newest entry first."""
    parts: list[RenderableType] = [_header(status, shown)]
    parts += [render_question(question) for question in status.questions]
    if shown.actions and shown.ended is None:
        parts.append(commands(shown.actions))
    if status.clocks:
        parts.append(_clocks(status, shown.now))
    if status.board:
        from rich.markdown import Markdown  # noqa: PLC0415  with a parser, which takes a tenth of a command's time

        parts.append(Panel(Markdown(status.board), title="at a glance", border_style="dim"))
    parts.append(timeline_table(status, latest=shown.latest, newest_first=True))
    return Group(*parts)


def fitted(status: RunStatus, shown: Shown, console: Console) -> RenderableType:
    """Show a run so that what happens now, and what people can do, doesn't leave the screen by what follows it."""
    made = render(status, shown)
    if console.is_terminal and shown.latest is not None:
        for latest in LATEST:
            made = render(status, replace(shown, latest=latest))
            if len(console.render_lines(made)) + _BELOW <= console.height:
                break
    return made


def timeline_table(status: RunStatus, *, latest: int | None = None, newest_first: bool = False) -> RenderableType:
    """Show the timeline, all of it or the `latest` entries."""
    entries = status.entries if latest is None else status.entries[-latest:]
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("time", no_wrap=True, style="dim")
    table.add_column("step", no_wrap=True, style="dim")
    table.add_column("what", ratio=1, overflow="fold")
    hidden = len(status.entries) - len(entries)
    rows = [(f"{entry.at.astimezone():%H:%M:%S}", entry.section, _what(entry)) for entry in entries]
    if hidden:
        rows.insert(0, ("", "", Text(f"… {hidden} earlier: --all shows them", style="dim")))
    for row in reversed(rows) if newest_first else rows:
        table.add_row(*row)
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


def _header(status: RunStatus, shown: Shown) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    ended = shown.ended
    happens = [("ended", _ended(shown))] if ended else [("now", line) for line in _now(status, shown)]
    rows: list[tuple[str, RenderableType]] = [
        *happens,
        ("phase", Text(status.phase)),
        ("incident", Text(status.incident_id)),
        ("service", Text(status.service)),
        ("began", Text(ago(status.started_at, datetime.now(UTC)))),
        ("run", Text(shown.link, style=f"link {shown.link}", no_wrap=True, overflow="ellipsis")),
    ]
    before = ""
    for name, value in rows:
        if str(value):
            grid.add_row(Text("" if name == before else name, style="dim"), value)
            before = name
    title = " ".join(filter(None, (status.section, titled(status.severity, status.title or status.procedure))))
    plan = " — plan only, nothing is changed" if status.dry_run else ""
    border = _ENDED.get(ended.how.partition(",")[0].partition(":")[0], "green") if ended else "cyan"
    return Panel(grid, title=Text(f"{title}{plan}"), title_align="left", border_style=border)


def _ended(shown: Shown) -> Text:
    assert shown.ended is not None
    ended = shown.ended
    text = Text(ended.how, style="bold")
    text.append(f" by {ended.by}" if ended.by else "")
    text.append(f", {ago(shown.ended_at, datetime.now(UTC))}" if shown.ended_at else "", style="dim")
    text.append(f": {ended.why}" if ended.why else "", style="not bold")
    return text


def _now(status: RunStatus, shown: Shown) -> Iterator[Text]:
    """Say what it waits for, else what it does, else what it did last."""
    for question in status.questions:
        line = f"waits for {_whom(question)} to decide {question.id} until {clock_time(until(question))}"
        yield Text(f"{line}, {_then(question)}", style="bold yellow")
    if status.waiting_for and not status.questions:
        yield Text(f"waits for {alternatives(shown.roles) or 'a person'}: {status.waiting_for}", style="bold yellow")
    yield from (Text(f"no worker of role {line}", style="bold red") for line in status.lacks)
    yield from (Text(line) for line in shown.doing)
    if not (status.waiting_for or shown.doing) and status.entries:
        last = status.entries[-1]
        what = "" if last.text == status.phase else f": {last.text}"
        yield Text(f"{status.phase or 'beginning'} since {clock_time(last.at)}{what}")


def _whom(question: OpenQuestion) -> str:
    return alternatives(question.roles) or "nobody (`[approvals] roles` names no role for it)"


def _then(question: OpenQuestion) -> str:
    return f"then it takes {question.default}" if question.escalated else "then it escalates"


def commands(actions: Iterable[Action]) -> RenderableType:
    """Show the commands, each on a line that nothing breaks: they are there to be copied.

    What an answer does stands with its question, above.
    """
    lines: list[RenderableType] = [Text("you can", style="dim")]
    for action in actions:
        lines.append(Text(f"  {action.command}", style="bold yellow", no_wrap=True, overflow="ignore"))
        if not action.answers:
            lines.append(Padding(Text(action.does, style="dim"), (0, 0, 0, 6)))
    return Group(*lines)


def _clocks(status: RunStatus, now: datetime) -> RenderableType:
    told = [Text.assemble((f"{clock.name} ", "dim"), _clock(clock, status, now)) for clock in status.clocks]
    return Line(told, between="   ")


def _clock(clock: Clock, status: RunStatus, now: datetime) -> Text:
    if clock.met_at is not None:
        took = _short(clock.met_at - status.started_at)
        return Text(f"✓ {took}{' late' if clock.missed else ''}", style="yellow" if clock.missed else "green")
    if clock.missed or now > clock.due_at:
        return Text(f"✗ missed by {_short(now - clock.due_at)}" if not status.outcome else "✗ missed", style="bold red")
    if status.outcome:
        return Text("– not reached", style="dim")
    return Text(f"{_short(clock.due_at - now)} left", style="bold")


def render_question(question: OpenQuestion) -> RenderableType:
    """Show a question with its evidence, and what happens without an answer."""
    grid = Table.grid(padding=(0, 2))
    for choice, does in question.options.items():
        marks = [
            name
            for name, other in (("recommended", question.recommended), ("default", question.default))
            if other == choice
        ]
        grid.add_row(Text(choice, style="bold"), Text(does), Text(", ".join(marks), style="dim"))
    # What made it ask is often a fact too, which stands below again.
    evidence = [Hanging(Text(f"· {line}", style="dim")) for line in dict.fromkeys(question.evidence)]
    foot = Text(f"{_whom(question)} may decide until {clock_time(until(question))}, {_then(question)}", style="dim")
    if question.two_persons:
        said = f"; {question.first.by} has said {question.first.choice}" if question.first else ""
        foot.append(f"\nanything but {question.default} takes two people{said}")
    title = Text(f"{question.id}: {question.title}")
    return Panel(Group(grid, *evidence, foot), title=title, title_align="left", border_style="yellow")


def _short(span: timedelta) -> str:
    seconds = span / timedelta(seconds=1)
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} h" if hours else f"{minutes}:{seconds:02} min"
