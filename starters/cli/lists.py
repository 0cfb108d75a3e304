"""Lists that can be read at any width: a table where it fits, else a few lines an item; names are never cut."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_WIDE = 140
_BELOW = 2
"""By how much what belongs to a line is moved in below it."""


@dataclass(frozen=True)
class Line:
    """Parts on a line; where they don't fit, it goes on between two of them, and not within one."""

    parts: Sequence[Text]
    between: str = " · "

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Fill each line as far as it goes."""
        line = Text()
        for part in filter(None, self.parts):
            more = Text.assemble(line, self.between, part) if line else part
            if line and more.cell_len > options.max_width:
                yield line
                line = part
            else:
                line = more
        if line:
            yield line


@dataclass(frozen=True)
class Hanging:
    """A paragraph whose further lines stand below its text, and not below its mark."""

    text: Text
    indent: int = _BELOW

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Wrap it."""
        for number, line in enumerate(self.text.wrap(console, max(1, options.max_width - self.indent))):
            yield Padding(line, (0, 0, 0, self.indent if number else 0))


@dataclass(frozen=True)
class Item:
    """One thing of a list: its cells for a table; for few columns its name, and lines about it."""

    cells: Sequence[Text]
    name: Text
    lines: Sequence[Text | Line]


def laid_out(heads: Sequence[str], items: Iterable[Item], console: Console) -> RenderableType:
    """Lay a list out for the width there is."""
    found = list(items)
    if console.width < _WIDE:
        return Group(*(_block(item) for item in found))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(heads):
        table.add_column(name, overflow="fold", no_wrap=number == 0)
    for item in found:
        table.add_row(*item.cells)
    if console.measure(table).maximum > console.width:  # cells of several lines run into those below otherwise
        table.leading = 1
    return table


def _block(item: Item) -> RenderableType:
    grid = Table.grid(padding=(0, 0))
    grid.add_column(overflow="fold")
    grid.add_row(Hanging(item.name))
    for line in item.lines:
        if any(line.parts) if isinstance(line, Line) else line.plain.strip():
            grid.add_row(Padding(line, (0, 0, 0, _BELOW)))
    return grid


def line(*parts: Text | str, between: str = " · ") -> Line:
    """Make a line of what isn't empty."""
    return Line([part if isinstance(part, Text) else Text(part) for part in parts], between)


def joined(*parts: Text | str, between: str = " · ") -> Text:
    """Join what isn't empty, for a cell."""
    text = Text()
    for part in line(*parts).parts:
        if part:
            text.append(between if text else "")
            text.append_text(part)
    return text
