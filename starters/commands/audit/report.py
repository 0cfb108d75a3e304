"""`runbooks audit report`: what a month was like."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from audit.render import report as rendering
from audit.report import Month, Report
from starters.audit.output import deliver
from starters.audit.reporting import count_month
from starters.audit.room import reading
from starters.people import Exit, Stop, command, console


@command
async def report(
    *,
    month: Annotated[str | None, typer.Option(metavar="2026-11", help="The current one where none is named.")] = None,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Whose calendar, e.g. Europe/Berlin.")] = "UTC",
    form: Annotated[
        Literal["table", "json", "markdown", "html", "pdf"], typer.Option("--format", help="How to show it.")
    ] = "table",
    output: Annotated[Path | None, typer.Option(help="Write it into a file.")] = None,
) -> None:
    """Report on the runs that began in a month: response times, deadlines, automation, approvals, retries, leases."""
    try:
        asked = Month.of(month, zone) if month else Month.at(datetime.now(UTC), zone)
    except ValueError as error:
        raise Stop(Exit.USAGE, str(error)) from None
    async with reading("report", asked.name) as room:
        counted = await count_month(room.search, room.settings, asked)
    if form == "table" and output is None:
        console.print(rendering.terminal(counted))
    else:
        deliver(_rendered(counted, form), output)


def _rendered(report: Report, form: str) -> str | bytes:
    match form:
        case "json":
            return rendering.as_json(report)
        case "html":
            return rendering.html(report)
        case "pdf":
            return rendering.pdf(report)
        case "markdown":
            return rendering.markdown(report)
        case _:
            with console.capture() as captured:
                console.print(rendering.terminal(report))
            return captured.get()
