"""`runbooks audit export`: a part of the archive for another party."""

from pathlib import Path
from typing import Annotated

import typer

from starters.cli.options import Json
from starters.cli.people import command


@command
async def export(
    *,
    since: Annotated[
        str | None, typer.Option(metavar="2026-11-01", help="Ended then or later: a date, or an ISO time (UTC).")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="2026-11-30", help="Ended before: a time, or a date, which is included.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="evidence-<since>-<until>.bundle.zip otherwise.")] = None,
    pages: Annotated[
        bool, typer.Option("--pages", help="With a page to read for every run; a second or so each.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the runs that ended in a span, with all that proves them, into a file that others can verify.

    Example: runbooks audit export --since 2026-11-01 --until 2026-11-30
    """
    from starters.cli.audit import exporting

    await exporting.export(since=since, until=until, output=output, pages=pages, as_json=as_json)
