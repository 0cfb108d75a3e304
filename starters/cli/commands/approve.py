"""`runbooks approve`: answer what a run asks."""

from typing import Annotated

import typer

from starters.cli import completing
from starters.cli.options import Json, Reference, Role, Who
from starters.cli.people import command


@command
async def approve(
    reference: Reference,
    *,
    question: Annotated[str | None, typer.Option(help="Which one, where several are open.")] = None,
    choice: Annotated[
        str | None,
        typer.Option(help="One of the offered; without it, shows what is asked.", autocompletion=completing.choices),
    ] = None,
    reason: Annotated[str, typer.Option(help="For the timeline and the auditor.")] = "",
    as_json: Json = False,
    who: Who = None,
    role: Role = None,
) -> None:
    """Answer an open question, or show what is asked.

    In your usual role where that may, else in the only one that may. Example: runbooks approve - --choice rollback
    """
    from starters.cli import answering

    await answering.approve(
        reference, question=question, choice=choice, reason=reason, who=who, role=role, as_json=as_json
    )
