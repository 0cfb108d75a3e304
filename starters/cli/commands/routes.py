"""`runbooks routes`: the webhook's routing rules."""

from pathlib import Path
from typing import Annotated

import typer

from starters.cli.groups import group
from starters.cli.options import Json
from starters.cli.people import command

app = group("The webhook's routing rules.")


@app.callback()
def _group() -> None:
    """Make this a group of commands."""


@app.command("check")
@command
async def check(
    labels: Annotated[
        list[str] | None, typer.Argument(metavar="[LABEL=VALUE]…", help="Say which rule takes such an alert.")
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Read the rules as the webhook does, and show them.

    Example: runbooks routes check severity=P1 service=tensafe-server
    """
    from starters.cli import rules

    rules.check(labels or (), as_json=as_json)


@app.command("test")
@command
async def payload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What a sender would post; - reads it from here.")],
    *,
    source: Annotated[str, typer.Option(metavar="NAME", help="Which of [webhook.sources] sends it, or alertmanager.")],
    header: Annotated[
        list[str] | None, typer.Option(metavar="NAME:VALUE", help="Sent with it, such as ce-id: of a CloudEvent.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what a payload would start, and why, without starting it.

    Example: runbooks routes test payload.json --source alertmanager
    """
    from starters.cli import payloads

    payloads.explain_payload(file, source, header or (), as_json=as_json)
