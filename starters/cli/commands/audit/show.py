"""`runbooks audit show`: a run as a story."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from starters.cli.options import Json, Reference
from starters.cli.people import command


@command
async def show(
    reference: Reference,
    *,
    form: Annotated[
        Literal["table", "json", "markdown", "html", "pdf"], typer.Option("--format", help="How to show it.")
    ] = "table",
    as_json: Json = False,
    output: Annotated[Path | None, typer.Option(help="Write it into a file.")] = None,
) -> None:
    """Show a run with all that belongs to it: what started it, who decided, what it did, and how it ended.

    Example: runbooks audit show 1a2b3c --format html --output incident.html
    """
    from starters.cli.audit import showing

    await showing.show(reference, form="json" if as_json else form, output=output)
