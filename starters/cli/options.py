"""Arguments that several commands share."""

from typing import Annotated

import typer

from starters.steering.identity import DEFAULT_ROLE

Reference = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="An incident or ticket, a workflow ID, WORKFLOW_ID@RUN_ID, a unique beginning or ending, "
        "or - for the only open run.",
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
