"""`runbooks outreach`: what came of speaking with a customer."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def outreach(
    reference: Reference,
    *,
    outcome: Annotated[str, typer.Option(help="retained, at_risk, lost or no_contact.")],
    note: Annotated[str, typer.Option(help="What was said, and what follows.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Say what came of speaking with a customer at risk (runbook 5.3).

    Example: runbooks outreach churn-prevention/globex --outcome retained --note "They were on holiday"
    """
    from starters.cli.saying import say
    from workflows.customer_operations.customer_words import Outreach

    await say(reference, who, role, Outreach, as_json=as_json, outcome=outcome, note=note)
