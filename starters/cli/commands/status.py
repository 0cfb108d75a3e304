"""`runbooks status`: a run at a glance."""

from typing import Annotated

import typer

from starters.cli.options import Reference
from starters.cli.people import command, console


@command
async def status(
    reference: Reference,
    *,
    follow: Annotated[bool, typer.Option("--watch", help="Keep showing it until it ends.")] = False,
) -> None:
    """Show a run: clocks, timeline, open questions; also one that has ended."""
    from starters.cli.configured import load_settings
    from starters.cli.watching import picture, watch
    from starters.steering import runs
    from starters.steering.errors import Refused, SteeringError
    from starters.steering.finding import find
    from starters.steering.session import open_session

    session = await open_session(load_settings())
    run = await find(session, reference)
    if follow:
        await watch(session, run, console)
        return
    try:
        told = await runs.status_of(run)
    except SteeringError as error:
        console.print(await picture(run, None))
        console.print(run.link, style="dim", soft_wrap=True)
        # A run that failed before it began has nothing to tell, and that has been shown.
        if not isinstance(error, Refused):
            raise
        return
    console.print(await picture(run, told))
    # On a line of its own, which nothing breaks: it is there to be clicked or copied.
    console.print(run.link, style="dim", soft_wrap=True)
