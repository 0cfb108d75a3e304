"""`runbooks start`: begin a procedure."""

from typing import Annotated

import typer

from starters.cli.options import Role, Who
from starters.cli.people import command
from starters.cli.speaker import person


@command
async def start(
    name: Annotated[str, typer.Argument(metavar="PROCEDURE", help="See `runbooks catalogue`.")],
    *,
    text: Annotated[str | None, typer.Option("--input", help="JSON, @file, or - for stdin.")] = None,
    fields: Annotated[list[str] | None, typer.Option("--set", help="field=value over it; any number.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only: everything but the effects.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask back (sets `confirmed`); for scripts.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Show it live, then print its result.")] = False,
    workflow_id: Annotated[str | None, typer.Option("--id", help="Workflow ID, instead of a new one.")] = None,
    who: Who = None,
    role: Role = None,
) -> None:
    """Start a procedure."""
    from starters.cli import starting

    await starting.start(
        name,
        person(who, role),
        text=text,
        fields=[*(fields or ()), *(["confirmed=true"] if yes else [])],
        dry_run=dry_run,
        wait=wait,
        workflow_id=workflow_id,
    )
