"""Lists that can be read at any width: a table where it fits, else a few lines an item; names are never cut."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_WIDE = 140


@dataclass(frozen=True)
class Item:
    """One thing of a list: its cells for a table; for few columns its name, and lines about it."""

    cells: Sequence[Text]
    name: Text
    lines: Sequence[Text]


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
    return table


def _block(item: Item) -> RenderableType:
    grid = Table.grid(padding=(0, 0))
    grid.add_column(overflow="fold")
    grid.add_row(item.name)
    for line in item.lines:
        if line.plain.strip():
            grid.add_row(Padding(line, (0, 0, 0, 2)))
    return grid


def joined(*parts: Text | str, between: str = " · ") -> Text:
    """Join what isn't empty."""
    line = Text()
    for part in parts:
        text = part if isinstance(part, Text) else Text(part)
        if text.plain:
            line.append(between if line.plain else "")
            line.append_text(text)
    return line
