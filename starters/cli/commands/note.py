"""`runbooks note`: add a remark to a run."""

from typing import Annotated

import typer

from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def note(
    reference: Reference,
    text: Annotated[str, typer.Argument(metavar="TEXT")],
    *,
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Add a remark to a run's timeline and records.

    Example: runbooks note 1a2b3c "DNS was fine"
    """
    from starters.cli.saying import say
    from workflows.platform.run_status import Note

    await say(reference, who, role, Note, as_json=as_json, text=text)
