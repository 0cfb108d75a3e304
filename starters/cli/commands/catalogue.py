"""`runbooks catalogue`: the procedures there are."""

from enum import StrEnum
from typing import Annotated

import typer

from starters.cli import completing
from starters.cli.options import Json
from starters.cli.people import command


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"


@command
async def catalogue(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[PROCEDURE]", help="This one, with its fields.", autocompletion=completing.procedures),
    ] = None,
    *,
    form: Annotated[Format, typer.Option("--format", help="json has schemas, examples and links.")] = Format.TABLE,
    as_json: Json = False,
) -> None:
    """List all procedures, or show what one takes: fields, an example, and a link to the Temporal UI's form.

    Example: runbooks catalogue p1-incident
    """
    from starters.cli import procedures

    procedures.show(name, as_json=as_json or form is Format.JSON)
