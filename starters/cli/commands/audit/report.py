"""`runbooks audit report`: what a month was like."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from starters.cli.options import Json
from starters.cli.people import command


@command
async def report(
    *,
    month: Annotated[str | None, typer.Option(metavar="2026-11", help="The current one where none is named.")] = None,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Whose calendar, e.g. Europe/Berlin.")] = "UTC",
    form: Annotated[
        Literal["table", "json", "markdown", "html", "pdf"], typer.Option("--format", help="How to show it.")
    ] = "table",
    as_json: Json = False,
    output: Annotated[Path | None, typer.Option(help="Write it into a file.")] = None,
) -> None:
    """Report on the runs that began in a month: response times, deadlines, automation, approvals, retries, leases.

    Example: runbooks audit report --month 2026-11 --format pdf --output november.pdf
    """
    from starters.cli.audit import monthly

    await monthly.report(month=month, zone=zone, form="json" if as_json else form, output=output)
