"""`runbooks audit archive`: archive now, instead of with the next run of the schedule."""

from typing import Annotated

import typer

from starters.cli.options import Json
from starters.cli.people import command


@command
async def archive(
    *,
    status: Annotated[
        bool, typer.Option("--status", help="Only say how far it is, and what could not be archived.")
    ] = False,
    reindex: Annotated[bool, typer.Option("--reindex", help="Make the search index anew from the chain.")] = False,
    as_json: Json = False,
) -> None:
    """Archive every run that has closed, and wait for it.

    Example: runbooks audit archive
    """
    from starters.cli.audit import archiving

    await archiving.archive(status=status, reindex=reindex, as_json=as_json)
