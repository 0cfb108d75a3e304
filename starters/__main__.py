"""`runbooks`: the command line."""

import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

_COMMANDS = (
    "list",
    "status",
    "start",
    "approve",
    "note",
    "take-over",
    "hand-back",
    "close",
    "raise-to-p1",
    "extend",
    "resume",
    "cancel",
    "views",
    "catalogue",
    "services",
    "doctor",
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
    "web",
    "status-page",
    "mcp",
    "sandbox",
)


_EVERYWHERE = {"--quiet": "RUNBOOKS_QUIET", "--no-color": "NO_COLOR"}
"""Switches that are taken wherever they stand → the variable that says the same."""


def application(arguments: Sequence[str]) -> "typer.Typer":
    """Put the commands together; one that is named is loaded alone, so that nobody waits for what they don't use."""
    import typer  # noqa: PLC0415  and Ctrl-C in the first moment meets a main that can say so

    from starters.cli.options import NoColor, Quiet, Version  # noqa: PLC0415
    from starters.cli.people import EXIT_CODES  # noqa: PLC0415

    app = typer.Typer(
        name="runbooks",
        help="Start, watch and steer the runbook's procedures.",
        epilog=EXIT_CODES,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        # As `runbooks --install-completion` puts it into bash, zsh or fish.
        add_completion=True,
        rich_markup_mode=None,
    )

    @app.callback()
    def _group(*, version: Version = False, quiet: Quiet = False, no_color: NoColor = False) -> None:
        """Start, watch and steer the runbook's procedures."""

    named = next((one for one in arguments if not one.startswith("-")), "")
    for name in (named,) if named in _COMMANDS else _COMMANDS:
        module = import_module(f"starters.cli.commands.{name.replace('-', '_')}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            # One that has the name of a builtin has an underscore behind it.
            attribute = name.replace("-", "_")
            app.command(name)(getattr(module, attribute, None) or getattr(module, f"{attribute}_"))
    return app


def switched(arguments: Sequence[str]) -> list[str]:
    """Take out the switches that may stand anywhere, and do what they say."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    for switch, variable in _EVERYWHERE.items():
        if switch in arguments[:end]:
            os.environ[variable] = "1"
    return [*(one for one in arguments[:end] if one not in _EVERYWHERE), *arguments[end:]]


_OBJECTS_OF_A_START = 200_000
"""What a command imports stays: to look for garbage among it would take a tenth of its time."""
_INTERRUPTED = 130


def main() -> None:
    """Run the command line; exits with one of the codes that `--help` lists."""
    gc.set_threshold(_OBJECTS_OF_A_START)
    try:
        arguments = switched(sys.argv[1:])
        application(arguments)(arguments, prog_name="runbooks")
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        code = _INTERRUPTED
    else:
        code = 0
    if code == _INTERRUPTED:
        # By no way that has anything to import: it may be what was just being imported.
        sys.stderr.write("interrupted; runs that have been started go on\n")
    # Not by way of the interpreter's own end: a thread of the SDK's that still runs then can abort the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
