"""`runbooks hand-back`: let an incident's run go on by itself again."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def hand_back(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="How you leave it; for the record.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Give an incident back that somebody has taken over: its run goes on by itself (runbook 2.2).

    Example: runbooks hand-back 1a2b3c --reason "the failover is through"
    """
    from starters.cli.saying import say
    from workflows.incident_response.command import HandBack

    await say(reference, who, role, HandBack, as_json=as_json, reason=reason)
