"""`runbooks list`: what is open, and what waits for whom."""

from typing import Annotated

import typer

from starters.cli import completing
from starters.cli.options import Json, Role, Who
from starters.cli.people import command
from starters.cli.speaker import person


@command
async def list_(
    *,
    service: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of this service alone.", autocompletion=completing.services)
    ] = None,
    procedure: Annotated[
        str | None,
        typer.Option(metavar="PROCEDURE", help="Of this procedure alone.", autocompletion=completing.procedures),
    ] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="What waits for a person.")] = False,
    mine: Annotated[
        bool, typer.Option("--mine", help="What you have started or steered, or what waits for your role.")
    ] = False,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Began (or, of what has ended, ended) then or later: -1h.")
    ] = None,
    closed: Annotated[bool, typer.Option("--all", help="Also what has ended, the newest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """List open runs: what they do, and what they wait for.

    Example: runbooks list --waiting
    """
    from starters.cli import open_list

    await open_list.show(
        service=service,
        named=procedure,
        waiting=waiting,
        mine=person(who, role) if mine else None,
        since=since,
        closed=closed,
        limit=limit,
        as_json=as_json,
    )
