"""The month's report in the form that is asked for."""

from datetime import UTC, datetime
from pathlib import Path

from audit.render import report as rendering
from audit.report import Month, Report
from starters.cli.audit.output import deliver
from starters.cli.audit.room import reading
from starters.cli.people import Exit, Stop, console
from starters.past.reporting import count_month


async def report(*, month: str | None, zone: str, form: str, output: Path | None) -> None:
    """Count the month, and show it or write it into a file.

    Raises:
        Stop: there is no such month or zone, or neither Temporal nor the archive answers.

    """
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
