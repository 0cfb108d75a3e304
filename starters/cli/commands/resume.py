"""`runbooks resume`: let go now what a run holds."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def resume(
    reference: Reference,
    *,
    reason: Annotated[str, typer.Option(help="Why; for the timeline.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Resume now what a run has paused, such as the autoscaler (runbook 3.2).

    Example: runbooks resume emergency-scale-up/tensafe-server
    """
    from starters.cli.saying import say
    from workflows.platform.lease import Resume

    await say(reference, who, role, Resume, as_json=as_json, reason=reason)
