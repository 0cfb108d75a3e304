"""`runbooks take-over`: have an incident in one's own hands."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def take_over(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="What you are going to do; for the record.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Take an incident over: its run only watches, records and reminds you, until `hand-back` (runbook 2.2).

    Example: runbooks take-over 1a2b3c --reason "failing over by hand"
    """
    from starters.cli.saying import say
    from workflows.incident_response.command import TakeOver

    await say(reference, who, role, TakeOver, as_json=as_json, reason=reason)
