"""Arguments that several commands share."""

from typing import Annotated

import typer

from starters.cli import completing
from starters.steering.identity import DEFAULT_ROLE

Reference = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="An incident or ticket, a workflow ID, WORKFLOW_ID@RUN_ID, a unique beginning or ending, "
        "or - for the only open run.",
        autocompletion=completing.runs,
    ),
]
Who = Annotated[
    str | None,
    typer.Option("--as", envvar="RUNBOOKS_USER", help="Who speaks; the user of the operating system otherwise."),
]
Role = Annotated[
    str | None,
    typer.Option("--role", envvar="RUNBOOKS_ROLE", help=f"In which role; `{DEFAULT_ROLE}` otherwise."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, for programs.")]


def _version(asked: bool) -> None:  # noqa: FBT001  as typer calls it
    if asked:
        from starters.cli.build import version  # noqa: PLC0415

        typer.echo(version())
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_version, is_eager=True, help="Version, commit and build ID.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing beside the answer; wherever it stands.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours, as with NO_COLOR; wherever it stands.")]
