"""`runbooks sandbox`: the embedded environment."""

import subprocess
import sys
from pathlib import Path

import typer

from starters.cli.groups import group
from starters.cli.options import Json

app = group("The embedded environment: real servers on this machine. Exit code 3 when it doesn't run.")
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("up", context_settings=_PASS_ON)
def up(context: typer.Context, *, as_json: Json = False) -> None:
    """Start it, and leave it running.

    Example: runbooks sandbox up
    """
    _run("up", context, as_json=as_json)


@app.command("down", context_settings=_PASS_ON)
def down(context: typer.Context, *, as_json: Json = False) -> None:
    """Stop it.

    Example: runbooks sandbox down
    """
    _run("down", context, as_json=as_json)


@app.command("status", context_settings=_PASS_ON)
def status(context: typer.Context, *, as_json: Json = False) -> None:
    """Show its processes and links.

    Example: runbooks sandbox status
    """
    _run("status", context, as_json=as_json)


def _run(command: str, context: typer.Context, *, as_json: bool) -> None:
    """Leave it to a process of its own: production installs need none of the sandbox's packages."""
    argv = [sys.executable, "-m", "sandbox", command, *(["--json"] if as_json else []), *context.args]
    raise typer.Exit(subprocess.run(argv, check=False, cwd=_folder(command, context.args)).returncode)  # noqa: S603  ours


def _folder(command: str, options: list[str]) -> Path:
    """Give the folder whose sandbox is meant: what other commands use from here is what is shown and stopped."""
    here = Path.cwd()
    if command == "up" or any(one.partition("=")[0] == "--dir" for one in options):
        return here
    from starters.cli.configured import checkout_here
    from starters.cli.quiet import hint

    folder = checkout_here()
    if folder != here:
        hint(f"in {folder}")
    return folder
