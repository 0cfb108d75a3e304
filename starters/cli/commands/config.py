"""`runbooks config`: the settings."""

from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.people import command

app = group("The settings.")


@app.callback()
def _group() -> None:
    """Make this a group of commands, though it has one."""


@app.command("check")
@command
async def check(
    *,
    routes: Annotated[bool, typer.Option(help="Look at the webhook's routing rules as well.")] = True,
) -> None:
    """Hold all values against all their uses, and name every fault with its line."""
    from starters.cli import configured

    configured.check(routed=routes)
