"""`runbooks close`: close an incident."""

from typing import Annotated

import typer
from pydantic import ValidationError

from starters import runs
from starters.gateway import person
from starters.options import Reference, Role, Who
from starters.people import Exit, Stop, command, console
from starters.session import open_session
from starters.words import send
from workers.settings import explain
from workflows.incident_response.p1_incident import Closing


@command
async def close(
    reference: Reference,
    *,
    resolution: Annotated[str, typer.Option(help="What brought the service back.")],
    root_cause: Annotated[str, typer.Option(help="Why it failed.")],
    force: Annotated[bool, typer.Option("--force", help="Although the service doesn't say it is healthy.")] = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Close an incident: resolution and root cause (runbook 2.2 step 12)."""
    speaker = person(who, role)
    try:
        word = Closing(who=speaker.who, role=speaker.role, resolution=resolution, root_cause=root_cause, force=force)
    except ValidationError as error:
        raise Stop(Exit.USAGE, explain(error)) from None
    session = await open_session()
    run = await runs.find(session, reference)
    console.print(await send(session, run, "close", word, str), markup=False)
