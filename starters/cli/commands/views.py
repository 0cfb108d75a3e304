"""`runbooks views`: lists of runs in the Temporal UI."""

from typing import Annotated

import typer

from starters.cli.options import Json
from starters.cli.people import command, console


@command
async def views(
    *,
    script: Annotated[
        bool, typer.Option("--script", help="What to paste into the browser's console: saves them all, and columns.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Link to lists of runs in the Temporal UI; opening a link saves it there as a view.

    Example: runbooks views
    """
    from starters.cli.configured import load_settings
    from starters.cli.facts import as_document
    from starters.steering import views as made

    settings = load_settings()
    if script:
        typer.echo(made.script(settings), nl=False)
        return
    found = made.views(settings)
    if as_json:
        as_document([view._asdict() for view in found])
        return
    for view in found:
        console.print(view.name, style="bold", markup=False)
        console.print(view.link, markup=False, soft_wrap=True)
    console.print("\n`runbooks views --script` saves all of them at once, and columns", style="dim")
