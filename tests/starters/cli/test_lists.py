"""Lists can be read at any width: names are never cut, and a line goes on between two of its parts."""

import io

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from starters.cli.lists import Hanging, Item, joined, laid_out, line

HEADS = ("run", "waits for")
ITEMS = [
    Item(
        cells=(Text("p1-incident/a-service-with-a-long-name"), Text("decide mitigation-1")),
        name=Text("p1-incident/a-service-with-a-long-name"),
        lines=(line("decide mitigation-1", "", "for 3 min"), Text(""), line("", "")),
    )
]


def printed(what: RenderableType, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return [each.rstrip() for each in out.getvalue().splitlines() if each.strip()]


def test_a_wide_terminal_gets_a_table_and_a_narrow_one_lines() -> None:
    wide = printed(laid_out(HEADS, ITEMS, Console(width=160)), 160)
    assert wide[0].split() == ["run", "waits", "for"]
    assert wide[-1].split() == ["p1-incident/a-service-with-a-long-name", "decide", "mitigation-1"]
    narrow = printed(laid_out(HEADS, ITEMS, Console(width=80)), 80)
    assert narrow == ["p1-incident/a-service-with-a-long-name", "  decide mitigation-1 · for 3 min"]


@pytest.mark.parametrize("width", [12, 24, 44])
def test_a_name_is_folded_and_never_cut(width: int) -> None:
    told = printed(laid_out(HEADS, ITEMS, Console(width=width)), width)
    assert "".join(told).replace(" ", "").startswith("p1-incident/a-service-with-a-long-name")


def test_a_line_goes_on_between_two_parts() -> None:
    parts = line("decide mitigation-1", Text(""), "for 3 min", "asked ada")
    assert printed(parts, 80) == ["decide mitigation-1 · for 3 min · asked ada"]
    assert printed(parts, 33) == ["decide mitigation-1 · for 3 min", "asked ada"]


def test_what_goes_on_stands_below_its_text() -> None:
    assert printed(Hanging(Text("- one two three four"), indent=2), 12) == ["- one two", "  three four"]


def test_what_is_empty_is_not_joined() -> None:
    assert joined("a", "", Text("b"), Text("")).plain == "a · b"
