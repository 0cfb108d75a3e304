"""`runbooks audit postmortem`: the draft that people go on writing."""

from pathlib import Path
from typing import Annotated

import typer

from starters.cli.people import command


@command
async def postmortem(
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="The incident's ID.")],
    *,
    output: Annotated[
        Path | None, typer.Option(help="A file; where it is there, what people wrote in it stays.")
    ] = None,
) -> None:
    """Write the draft of a post-mortem, or bring one up to date without touching what people wrote.

    Example: runbooks audit postmortem 1a2b3c --output post-mortem.md
    """
    from starters.cli.audit import drafting

    await drafting.postmortem(incident, output=output)
