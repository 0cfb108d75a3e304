"""`runbooks catalogue`: the procedures there are."""

import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from starters.catalogue import catalogue as items
from starters.people import command, console
from starters.session import load_settings


class Format(StrEnum):
    """How to print it."""

    TABLE = "table"
    JSON = "json"


@command
async def catalogue(
    form: Annotated[Format, typer.Option("--format", help="json has schemas, examples and links.")] = Format.TABLE,
) -> None:
    """List all procedures."""
    listed = items(load_settings().temporal)
    if form is Format.JSON:
        typer.echo(json.dumps(listed, indent=2, ensure_ascii=False))
        return
    table = Table("section", "procedure", "title", "start it", box=None)
    for item in listed:
        form_link = Text("in the Temporal UI", style=f"link {item['start_url']}")
        table.add_row(item["section"], item["procedure"], item["title"], form_link)
    console.print(table)
    console.print("\nrunbooks start PROCEDURE --set field=value …   --format json shows the fields", style="dim")
