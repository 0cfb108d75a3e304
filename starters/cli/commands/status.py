"""`runbooks status`: a run at a glance."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role
from starters.cli.people import command


@command
async def status(
    reference: Reference,
    *,
    follow: Annotated[bool, typer.Option("--watch", help="Keep showing it until it ends.")] = False,
    whole: Annotated[bool, typer.Option("--all", help="The whole timeline, and not its newest entries.")] = False,
    as_json: Json = False,
    role: Role = None,
) -> None:
    """Show a run: what happens now, what you can do, and what was done.

    Also one that has ended: how, and who ended it. Example: runbooks status INC-20260204-030000-1a2b3c
    """
    from starters.cli import standing

    await standing.show(reference, follow=follow, whole=whole, as_json=as_json, role=role)
