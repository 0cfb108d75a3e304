"""`runbooks doctor`: whether the things that a service's settings name are there, and answer."""

from typing import Annotated

import typer

from starters.cli import completing
from starters.cli.options import Json
from starters.cli.people import command


@command
async def doctor(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="Its name in the catalogue.", autocompletion=completing.services)
    ],
    *,
    as_json: Json = False,
) -> None:
    """Look at the real things of a service; nothing is changed.

    Deployment, selector, autoscalers, health, Prometheus, database, and the route of an alert. Exit code 1 where one
    is not as the settings say. Example: runbooks doctor tensafe-server
    """
    import asyncio

    from starters.cli import diagnosing

    await asyncio.to_thread(diagnosing.show, service, as_json=as_json)
