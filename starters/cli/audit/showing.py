"""A run as a story, in the form that is asked for."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from audit.render import show as rendering
from audit.render import show_terminal
from audit.render.chapters import Told
from starters.cli.audit.output import deliver
from starters.cli.audit.room import reading
from starters.cli.people import console
from starters.past.family import family_of


async def show(reference: str, *, form: str, output: Path | None) -> None:
    """Show a run with all that belongs to it.

    Raises:
        Stop: nobody knows it.

    """
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
