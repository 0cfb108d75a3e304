"""`runbooks raise-to-p1`: an incident of severity P2 is an outage."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def raise_to_p1(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="What makes it an outage.")],
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Raise a P2 incident to P1, which goes on with all there is (runbook 2.3).

    Example: runbooks raise-to-p1 1a2b3c --reason "orders are lost"
    """
    from starters.cli.saying import say
    from workflows.incident_response.incident_words import Raise

    await say(reference, who, role, Raise, as_json=as_json, reason=reason)
