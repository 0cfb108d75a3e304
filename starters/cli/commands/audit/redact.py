"""`runbooks audit redact`: erase what must not be kept, and leave the chain whole."""

from typing import Annotated

import typer

from starters.cli.options import Json, Role, Who
from starters.cli.people import command
from starters.cli.speaker import person


@command
async def redact(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Workflow ID (all its runs), WORKFLOW_ID@RUN_ID, or incident ID.")
    ],
    *,
    containing: Annotated[str, typer.Option(help="Erase every payload that says this, whatever its capitals.")],
    reason: Annotated[str, typer.Option(help="Why; it is kept in the chain, so don't repeat there what is erased.")],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask; what is erased can't be brought back.")] = False,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Erase from archived runs what must not be kept; a signed record says who erased, and why.

    Backups of the database, exported bundles and copies in S3 keep what they have until their own retention ends.

    Example: runbooks audit redact 1a2b3c --containing it@acme.example --reason "asked for by the customer"
    """
    from starters.cli.audit import redacting

    await redacting.redact(run, containing=containing, reason=reason, yes=yes, by=person(who, role), as_json=as_json)
