"""`runbooks`: the command line."""

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import typer

from starters.cli.people import EXIT_CODES

_COMMANDS = (
    "start",
    "status",
    "approve",
    "note",
    "take-over",
    "hand-back",
    "close",
    "raise-to-p1",
    "extend",
    "resume",
    "cancel",
    "catalogue",
    "ci",
    "config",
    "routes",
    "keys",
    "onboarding",
    "ticket",
    "outreach",
    "revoke",
    "windows",
    "stop-watching",
    "schedules",
    "deployments",
    "audit",
    "codec-server",
    "handover-server",
    "challenge-server",
    "sandbox",
    "windows",
)


def application(arguments: Sequence[str]) -> typer.Typer:
    """Put the commands together; one that is named is loaded alone, so that nobody waits for what they don't use."""
    app = typer.Typer(
        name="runbooks",
        help="Start, watch and steer the runbook's procedures.",
        epilog=EXIT_CODES,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )

    @app.callback()
    def _group() -> None:
        """Start, watch and steer the runbook's procedures."""

    named = arguments[0] if arguments else ""
    for name in (named,) if named in _COMMANDS else _COMMANDS:
        module = import_module(f"starters.cli.commands.{name.replace('-', '_')}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name.replace("-", "_")))
    return app


_OBJECTS_OF_A_START = 200_000
"""What a command imports stays: to look for garbage among it would take a tenth of its time."""


def main() -> None:
    """Run the command line; exits with one of the codes that `--help` lists."""
    gc.set_threshold(_OBJECTS_OF_A_START)
    try:
        application(sys.argv[1:])(prog_name="runbooks")
    except SystemExit as ended:
        code = ended.code
    else:
        code = 0
    # Not by way of the interpreter's own end: a thread of the SDK's that still runs then can abort the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
