"""`runbooks audit search`: which runs were about something."""

from typing import Annotated, Any, Literal

import typer

from starters.cli.options import Json
from starters.cli.people import command
from starters.past.statuses import STATUSES

_Text = str | None


def _option(text: str, metavar: str) -> Any:
    return typer.Option(help=text, metavar=metavar)


@command
async def search(
    *,
    procedure: Annotated[_Text, _option("Procedure or workflow type.", "P1Incident")] = None,
    severity: Annotated[_Text, _option("Severity.", "P1")] = None,
    service: Annotated[_Text, _option("Service.", "NAME")] = None,
    tenant: Annotated[_Text, _option("Tenant.", "NAME")] = None,
    incident: Annotated[_Text, _option("Incident ID.", "ID")] = None,
    actor: Annotated[_Text, _option("Who had a say in it, or started it.", "PERSON")] = None,
    outcome: Annotated[_Text, _option("How it ended, in the procedure's own word.", "closed")] = None,
    status: Annotated[_Text, _option(f"Temporal's word: {', '.join(STATUSES)}.", "STATUS")] = None,
    since: Annotated[_Text, _option("Began then or later: a date, or an ISO time (UTC).", "2026-11-01")] = None,
    until: Annotated[_Text, _option("Began before: a time, or a date, which is included.", "2026-11-30")] = None,
    touched: Annotated[_Text, _option("Changed this, e.g. deployment/tensafe-server.", "TARGET")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, the newest first.")] = 50,
    form: Annotated[Literal["table", "json"], typer.Option("--format", help="How to show them.")] = "table",
    as_json: Json = False,
) -> None:
    """Find runs, live and archived alike, the newest first.

    Example: runbooks audit search --severity P1 --since -7d --touched deployment/tensafe-server
    """
    from starters.cli.audit import listing

    wanted = listing.asked_for(
        procedure=procedure,
        severity=severity,
        service=service,
        tenant=tenant,
        incident=incident,
        actor=actor,
        target=touched,
        outcome=outcome,
        status=status,
        since=since,
        until=until,
    )
    await listing.search(wanted, limit=limit, form="json" if as_json else form)
