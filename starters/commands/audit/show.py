"""`runbooks audit show`: a run as a story."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from audit.render import show as rendering
from audit.render import show_terminal
from audit.render.chapters import Told
from starters.audit.family import family_of
from starters.audit.output import deliver
from starters.audit.room import reading
from starters.options import Reference
from starters.people import command, console


@command
async def show(
    reference: Reference,
    *,
    form: Annotated[
        Literal["table", "json", "markdown", "html", "pdf"], typer.Option("--format", help="How to show it.")
    ] = "table",
    output: Annotated[Path | None, typer.Option(help="Write it into a file.")] = None,
) -> None:
    """Show a run with all that belongs to it: what started it, who decided, what it did, and how it ended."""
    async with reading("show", reference) as room:
        family = await family_of(room, reference)
    now = datetime.now(UTC)
    if form == "table" and output is None:
        console.print(show_terminal.render(family, now))
    else:
        deliver(_rendered(family, form, now), output)


def _rendered(family: Sequence[Told], form: str, now: datetime) -> str | bytes:
    match form:
        case "json":
            return rendering.as_json(family)
        case "html":
            return rendering.html(family, now)
        case "pdf":
            return rendering.pdf(family, now)
        case "markdown":
            return rendering.markdown(family, now)
        case _:
            with console.capture() as captured:
                console.print(show_terminal.render(family, now))
            return captured.get()
