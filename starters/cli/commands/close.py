"""`runbooks close`: close an incident."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def close(
    reference: Reference,
    *,
    resolution: Annotated[str, typer.Option(help="What brought the service back.")],
    root_cause: Annotated[str, typer.Option(help="Why it failed.")],
    force: Annotated[bool, typer.Option("--force", help="Although the service doesn't say it is healthy.")] = False,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Close an incident: resolution and root cause (runbook 2.2 step 12).

    Example: runbooks close 1a2b3c --resolution "Rolled back to v1.2.3" --root-cause "v1.2.4 crashes"
    """
    from starters.cli.saying import say
    from workflows.incident_response.incident_words import Closing

    closing = {"resolution": resolution, "root_cause": root_cause, "force": force}
    await say(reference, who, role, Closing, as_json=as_json, **closing)
