"""A run with its family for a terminal."""

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from audit.render.chapters import Chapter, Told, chapters
from audit.render.parts import Fact, Part

_STYLES = {"good": "green", "bad": "bold red", "wait": "yellow", "": ""}


def render(family: Sequence[Told], now: datetime) -> RenderableType:
    """Lay it out."""
    parts: list[RenderableType] = []
    for one in chapters(family, now):
        parts += [_headline(one), *(_part(part) for part in (*one.before, *one.after))]
    return Group(*parts)


def _headline(one: Chapter) -> RenderableType:
    title = Text(f"{one.title}: {one.outcome}", style="bold")
    return Panel(_facts(one.facts), title=title, title_align="left", border_style=_STYLES[one.tone])


def _facts(facts: tuple[Fact, ...]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for fact in facts:
        grid.add_row(Text(fact.name), Text(fact.text))
    return grid


def _part(part: Part) -> RenderableType:
    title = Text(f"\n{part.title}", style="bold cyan")
    if part.facts:
        return Group(title, _facts(part.facts))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(part.heads):
        ratio = round(part.widths[number] * 10) if part.widths else None
        table.add_column(head, overflow="fold", ratio=ratio)
    tones = part.tones or ("",) * len(part.rows)
    for row, tone in zip(part.rows, tones, strict=True):
        table.add_row(*(Text(cell) for cell in row), style=_STYLES[tone])
    return Group(title, table)
