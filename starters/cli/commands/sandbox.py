"""`runbooks sandbox`: the embedded environment."""

import subprocess
import sys

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
    raise typer.Exit(subprocess.run(argv, check=False).returncode)  # noqa: S603  our own arguments
