"""Colours and links of our own stay: a terminal obeys nothing else."""

import io

from rich.console import Console
from rich.text import Text

from starters.cli import terminal


def test_colours_and_links_of_our_own_stay() -> None:
    console = Console(force_terminal=True, color_system="standard", file=io.StringIO(), width=80)
    console.push_render_hook(terminal._Door())
    console.print(Text("red \x1b[31m", style="bold red link http://ours/"), end="")
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[1;31m" in out
    assert "http://ours/" in out
    assert "red ␛[31m" in out
