"""`runbooks extend`: keep what a run holds for longer."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def extend(
    reference: Reference,
    *,
    by: Annotated[str, typer.Option(help="How much later it ends: 15m, 1h30m, PT15M.")],
    reason: Annotated[str, typer.Option(help="Why; for the timeline.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Extend what a run holds, such as the autoscaler's pause (runbook 3.2).

    Example: runbooks extend emergency-scale-up/tensafe-server --by 15m --reason "still busy"
    """
    from starters.cli.saying import say
    from starters.steering import times
    from workflows.platform.lease import Extend

    await say(reference, who, role, Extend, as_json=as_json, by=times.duration("--by", by), reason=reason)
