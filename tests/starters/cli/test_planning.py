"""A plan's lines are whole where nobody looks, and hang below their text on a terminal."""

import io

from rich.console import Console

from starters.cli.planning import show

PLAN = "Emergency scale-up (3.2) of web\n · pause the autoscaler until twelve o'clock\n · scale up"


def printed(*, terminal: bool) -> list[str]:
    out = io.StringIO()
    show(PLAN, Console(file=out, width=30, force_terminal=terminal, color_system=None))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_program_gets_whole_lines() -> None:
    assert printed(terminal=False) == PLAN.splitlines()


def test_on_a_terminal_what_goes_on_stands_below_its_text() -> None:
    assert printed(terminal=True) == [
        "Emergency scale-up (3.2) of",
        "web",
        " · pause the autoscaler",
        "   until twelve o'clock",
        " · scale up",
    ]
