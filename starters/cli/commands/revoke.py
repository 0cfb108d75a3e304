"""`runbooks revoke`: end an old API key's grace now."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def revoke(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="Why; for the timeline.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Revoke the old API key of a rotation before its grace ends (runbook 8.2).

    Example: runbooks revoke RUN --role security
    """
    from starters.cli.saying import say
    from workflows.security.words import RevokeNow

    await say(reference, who, role, RevokeNow, as_json=as_json, reason=reason)
