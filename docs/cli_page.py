"""`docs/cli.md`: every command, made from the program."""

import re
import textwrap
from typing import Any

import typer

from starters.__main__ import application
from starters.cli.people import EXIT_CODES

_HEAD = """\
# The command line

Every command of `runbooks`, as `--help` has it. `make docs` writes this page from the program.

Where a command takes a RUN, that is an incident's or a ticket's number, a workflow ID, `WORKFLOW_ID@RUN_ID`, a unique
beginning or ending of one, or `-` for the only run that is open; where several fit, they are named and nothing is done.
Durations are said as `10m`, `1h30m`, `90s` or `PT10M`, times as `2026-11-01 14:00 Europe/Berlin`, `-1h` or
`yesterday 14:00`; what has no zone is UTC.

`--json` gives one document on stdout; all else is on stderr. `--quiet` and `--no-color` may stand anywhere.
"""


_WIDTH = 120


def page() -> str:
    """Write the page."""
    root: Any = typer.main.get_command(application([]))
    codes = EXIT_CODES.removeprefix("Exit codes: ").rstrip(".").split(" · ")
    rows = "".join(f"| {code} | {what} |\n" for code, what in (one.split(" ", 1) for one in codes))
    parts = [_HEAD, f"\n## Exit codes\n\n| Code | When |\n|---|---|\n{rows}"]
    for name, command in root.commands.items():
        parts += _command(f"runbooks {name}", command)
    return "".join(parts)


def _command(name: str, command: Any) -> list[str]:
    if hasattr(command, "commands"):
        told = [f"\n## `{name}`\n\n{_text(command.help)}\n"]
        for inner, one in command.commands.items():
            told += _command(f"{name} {inner}", one)
        return told
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    usage = " ".join([name, *(_metavar(one) for one in arguments)])
    rows = [f"| `{_metavar(one)}` | {_cell(one.help)} |\n" for one in arguments]
    rows += [_option(one) for one in command.params if one.param_type_name == "option" and not one.hidden]
    table = f"\n| Option | What |\n|---|---|\n{''.join(rows)}" if rows else ""
    return [f"\n{'###' if name.count(' ') > 1 else '##'} `{usage}`\n\n{_text(command.help)}\n{table}"]


def _option(one: Any) -> str:
    value = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
    needed = "Required. " if one.required else ""
    variable = f" Also `{one.envvar}`." if one.envvar else ""
    return f"| `{', '.join(one.opts)}{value}` | {needed}{_cell(one.help)}{variable} |\n"


def _metavar(one: Any) -> str:
    return str(one.metavar or one.name.upper())


def _text(text: str | None) -> str:
    """Give a command's own words; an example becomes a block."""
    lines = " ".join((text or "").replace("\n\n", "\0").split()).replace("\0", "\n\n").replace("\n\n ", "\n\n")
    told, example, code = lines.partition("Example: ")
    words = "\n\n".join(_wrapped(one) for one in told.strip().split("\n\n"))
    return f"{words}\n\n```\n{code.strip()}\n```" if example else words


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))


def _cell(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").replace("|", "\\|").replace("<", "&lt;")
