"""`runbooks sandbox`: the embedded environment."""

import subprocess
import sys

import typer

from starters.cli.groups import group

app = group("The embedded environment: real servers on this machine. Exit code 3 when it doesn't run.")
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command("up", context_settings=_PASS_ON)
def up(context: typer.Context) -> None:
    """Start it, and leave it running.

    Example: runbooks sandbox up
    """
    _run("up", context)


@app.command("down", context_settings=_PASS_ON)
def down(context: typer.Context) -> None:
    """Stop it.

    Example: runbooks sandbox down
    """
    _run("down", context)


@app.command("status", context_settings=_PASS_ON)
def status(context: typer.Context) -> None:
    """Show its processes and links.

    Example: runbooks sandbox status
    """
    _run("status", context)


def _run(command: str, context: typer.Context) -> None:
    """Leave it to a process of its own: production installs need none of the sandbox's packages."""
    argv = [sys.executable, "-m", "sandbox", command, *context.args]
    raise typer.Exit(subprocess.run(argv, check=False).returncode)  # noqa: S603  our own arguments
