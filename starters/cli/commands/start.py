"""`runbooks start`: begin a procedure."""

from typing import Annotated

import typer

from starters.cli import completing
from starters.cli.options import Json, Role, Who
from starters.cli.people import command
from starters.cli.speaker import person


@command
async def start(
    name: Annotated[
        str, typer.Argument(metavar="PROCEDURE", help="See `runbooks catalogue`.", autocompletion=completing.procedures)
    ],
    *,
    text: Annotated[str | None, typer.Option("--input", help="JSON, @file, or - for stdin.")] = None,
    fields: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Over it; any number. Durations as 10m, times as -1h.",
            autocompletion=completing.fields,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Plan only: everything but the effects.")] = False,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Don't show the plan and ask; needed off a terminal. Sets `confirmed`, if it has it."
        ),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow it to its end; exit code 1 where it did not do what was asked.")
    ] = False,
    as_json: Json = False,
    workflow_id: Annotated[str | None, typer.Option("--id", help="Workflow ID, instead of a new one.")] = None,
    who: Who = None,
    role: Role = None,
) -> None:
    """Start a procedure: shows what it would do, and asks.

    Example: runbooks start rollback --set reason="Error rate spiked to 5%"
    """
    from starters.cli import starting

    wishes = starting.Wishes(dry_run=dry_run, yes=yes, wait=wait, as_json=as_json, workflow_id=workflow_id)
    await starting.start(name, person(who, role), wishes, text=text, fields=fields or ())
