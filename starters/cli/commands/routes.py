"""`runbooks routes`: the webhook's routing rules."""

from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.people import command

app = group("The webhook's routing rules.")


@app.callback()
def _group() -> None:
    """Make this a group of commands, though it has one."""


@app.command("check")
@command
async def check(
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL=VALUE]…", help="Say which rule takes such an alert.")
    ] = None,
) -> None:
    """Read the rules as the webhook does, and show them."""
    from starters.cli import rules

    rules.check(labels or ())
