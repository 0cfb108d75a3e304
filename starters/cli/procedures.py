"""Shows the procedures there are, or what one of them takes: `runbooks catalogue`."""

import json
from typing import Any

from rich.table import Table
from rich.text import Text

from starters.cli.configured import load_settings
from starters.cli.facts import as_document
from starters.cli.people import console
from starters.steering.catalogue import Item, catalogue, item, start_url
from starters.steering.errors import WrongInput
from workers.registry import PROCEDURES, Procedure, procedure
from workers.settings import Settings


def show(name: str | None, *, as_json: bool) -> None:
    """Show them all, or one.

    Raises:
        WrongInput: there is none of that name; names those there are.

    """
    settings = load_settings()
    if name is None:
        if as_json:
            as_document(catalogue(settings))
        else:
            _all(settings)
        return
    try:
        meant = procedure(name)
    except KeyError as error:
        raise WrongInput(str(error.args[0])) from None
    if as_json:
        as_document(item(meant, settings))
    else:
        _one(meant, item(meant, settings))


def _all(settings: Settings) -> None:
    table = Table("section", "procedure", "title", "start it", box=None)
    for one in PROCEDURES:
        form_link = Text("in the Temporal UI", style=f"link {start_url(one, settings)}")
        table.add_row(one.section, Text(one.command), one.title, form_link)
    console.print(table)
    console.print("\nrunbooks start PROCEDURE --set field=value …   `runbooks catalogue PROCEDURE` shows its fields")


def _one(meant: Procedure, told: Item) -> None:
    console.print(f"{meant.title} (runbook {meant.section})", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    required = told["schema"].get("required", [])
    for field, about in told["schema"]["properties"].items():
        table.add_row(Text(field, style="bold" if field in required else ""), Text(_about(about, field in required)))
    console.print(table)
    sets = " ".join(f"--set {name}=…" for name in required)
    lines = {
        "command": f"runbooks start {meant.command} {sets}".rstrip(),
        "plan": f"runbooks start {meant.command} {sets} --dry-run --wait".replace("  ", " "),
        "Temporal UI": told["start_url"],
        "input there": json.dumps(told["example_input"], ensure_ascii=False),
    }
    console.print()
    for name, line in lines.items():
        console.print(f"{name:<12} {line}", markup=False, soft_wrap=True)


def _about(about: dict[str, Any], needed: bool) -> str:  # noqa: FBT001
    default = about.get("default")
    said = str(about.get("description", ""))
    if choices := _choices(about):
        said = f"{said} One of: {', '.join(choices)}.".strip()
    if needed:
        return f"{said} Required.".strip()
    return said if default in (None, "", [], {}) else f"{said} Default: {json.dumps(default)}."


def _choices(about: dict[str, Any]) -> list[str]:
    """Give the words that a field takes, where those are named."""
    return [str(word) for one in (about, *about.get("anyOf", ())) for word in one.get("enum", ())]
