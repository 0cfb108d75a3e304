"""`runbooks audit search`: which runs were about something."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from audit.store_filter import Filter
from starters.audit import times
from starters.audit.room import reading
from starters.audit.searching import Found
from starters.audit.visibility import STATUSES
from starters.people import Exit, Stop, command, complaints, console
from workers.registry import PROCEDURES

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
) -> None:
    """Find runs, live and archived alike, the newest first."""
    wanted = Filter(
        procedure=_procedure(procedure), severity=(severity or "").upper(), service=service or "", tenant=tenant or "",
        incident=incident or "", actor=actor or "", target=touched or "", outcome=outcome or "",
        status=_status(status), since=times.since("--since", since), until=times.until("--until", until),
    )  # fmt: skip
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise Stop(Exit.USAGE, "--since is not before --until: nothing can have begun between them")
    asked = ", ".join(
        f"{name} {value}" for name, value in wanted.model_dump(mode="json", exclude_defaults=True).items()
    )
    async with reading("search", asked or "everything") as room:
        found = room.search.latest(wanted, limit)
        shown = await (_as_json(found) if form == "json" else _as_table(found))
    if shown == limit:
        complaints.print(f"the newest {limit} are shown: --limit shows more", style="dim")


def _procedure(named: str | None) -> str:
    """Give the workflow type of a procedure; a name we don't know may be one of an older release."""
    for known in PROCEDURES:
        if named in {known.name, known.command, known.workflow_type}:
            return known.workflow_type
    return named or ""


def _status(named: str | None) -> str:
    if named is None:
        return ""
    told = named.lower().replace("-", " ").replace("_", " ")
    if told not in STATUSES:
        raise Stop(Exit.USAGE, f"--status: {named!r} is none. There are: {', '.join(STATUSES)}")
    return told


def _row(found: Found) -> dict[str, str | None]:
    story = found.story
    return {
        "started_at": f"{story.started_at:%Y-%m-%dT%H:%M:%SZ}",
        "ended_at": f"{story.ended_at:%Y-%m-%dT%H:%M:%SZ}" if story.ended_at else None,
        "procedure": story.run.workflow_type,
        "title": story.title,
        "severity": story.severity,
        "service": story.service,
        "tenant": story.tenant,
        "incident": story.incident_id,
        "outcome": story.outcome,
        "status": story.status,
        "from": "archive" if found.archived else "Temporal",
        "workflow_id": story.run.workflow_id,
        "run_id": story.run.run_id,
    }


async def _as_json(runs: AsyncIterator[Found]) -> int:
    """Write an array, a run a line, as they come."""
    count = 0
    async for found in runs:
        console.file.write(f"{',' if count else '['}\n{json.dumps(_row(found), ensure_ascii=False)}")
        count += 1
    console.file.write("\n]\n" if count else "[]\n")
    return count


async def _as_table(runs: AsyncIterator[Found]) -> int:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("began", "procedure", "", "service", "incident", "outcome", "from"):
        table.add_column(name, overflow="fold")
    table.add_column("run", overflow="fold", style="dim")
    async for found in runs:
        row = _row(found)
        cells = (row["started_at"], row["procedure"], row["severity"], row["service"], row["incident"],
                 row["outcome"] or row["status"], row["from"], f"{row['workflow_id']}@{row['run_id']}")  # fmt: skip
        table.add_row(*(Text(cell or "") for cell in cells))
    if table.row_count:
        console.print(table)
    else:
        console.print("no such run", style="dim")
    return table.row_count
