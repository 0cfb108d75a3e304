"""`runbooks catalogue`: the procedures there are."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from starters.cli.options import Json
from starters.cli.people import command, console


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"


@command
async def catalogue(
    *,
    form: Annotated[Format, typer.Option("--format", help="json has schemas, examples and links.")] = Format.TABLE,
    as_json: Json = False,
) -> None:
    """List all procedures.

    Example: runbooks catalogue --json
    """
    from rich.table import Table
    from rich.text import Text

    from starters.cli.configured import load_settings
    from starters.steering.catalogue import catalogue as items
    from starters.steering.catalogue import start_url
    from workers.registry import PROCEDURES

    temporal = load_settings().temporal
    if as_json or form is Format.JSON:
        typer.echo(json.dumps(items(temporal), indent=2, ensure_ascii=False))
        return
    table = Table("section", "procedure", "title", "start it", box=None)
    for procedure in PROCEDURES:
        form_link = Text("in the Temporal UI", style=f"link {start_url(procedure, temporal)}")
        table.add_row(procedure.section, procedure.name, procedure.title, form_link)
    console.print(table)
    console.print("\nrunbooks start PROCEDURE --set field=value …   --json shows the fields", style="dim")
