"""`runbooks services`: which procedure can run for which service."""

from typing import Annotated

import typer

from starters.cli import completing
from starters.cli.options import Json
from starters.cli.people import command


@command
async def services(
    service: Annotated[
        str | None, typer.Argument(metavar="[SERVICE]", help="This one alone.", autocompletion=completing.services)
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show services and procedures: ready, or what is missing, and where it is added.

    Example: runbooks services tensafe-server
    """
    from starters.cli import fitting

    fitting.show(service, as_json=as_json)
