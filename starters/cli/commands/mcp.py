"""`runbooks mcp`: the catalogue for programs."""

from typing import Annotated

import typer

from starters.cli.options import Role, Who
from starters.cli.people import command


@command
async def mcp(
    *,
    write: Annotated[
        bool,
        typer.Option("--write", help="May start and answer too, as you, signed by the gateway; never what is final."),
    ] = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Serve the runbook to an assistant by the Model Context Protocol, on stdin and stdout; it reads only.

    Example: runbooks mcp
    """
    from starters.cli.configured import load_settings
    from starters.cli.speaker import person
    from starters.programs.server import server
    from starters.steering.session import open_session

    speaker = person(who, role)
    session = await open_session(load_settings())
    await server(session, speaker, speaker if write else None).run_stdio_async()
