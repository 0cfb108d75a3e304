"""`runbooks status`: a run at a glance."""

from typing import Annotated

import typer

from starters.options import Reference
from starters.people import Exit, Stop, command, console


@command
async def status(
    reference: Reference,
    *,
    follow: Annotated[bool, typer.Option("--watch", help="Keep showing it until it ends.")] = False,
) -> None:
    """Show a run: clocks, timeline, open questions; also one that has ended."""
    from starters import runs
    from starters.session import open_session
    from starters.watching import picture, watch

    session = await open_session()
    run = await runs.find(session, reference)
    if follow:
        await watch(session, run, console)
        return
    try:
        told = await runs.status_of(run)
    except Stop as stop:
        console.print(await picture(run, None))
        console.print(run.link, style="dim", soft_wrap=True)
        # A run that failed before it began has nothing to tell, and that has been shown.
        if stop.code is not Exit.REFUSED:
            raise
        return
    console.print(await picture(run, told))
    # On a line of its own, which nothing breaks: it is there to be clicked or copied.
    console.print(run.link, style="dim", soft_wrap=True)
