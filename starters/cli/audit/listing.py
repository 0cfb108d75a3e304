"""Finds runs, and lists them."""

import json
from collections.abc import AsyncIterator

from rich.text import Text

from audit.store_filter import Filter
from starters.cli.audit.room import reading
from starters.cli.lists import Item, joined, laid_out, line
from starters.cli.people import Exit, Stop, complaints, console
from starters.past.searching import Found
from starters.past.statuses import STATUSES
from starters.steering import times
from workers.registry import PROCEDURES

_HEADS = ("began", "procedure", "", "service", "incident", "outcome", "from", "run")


def asked_for(
    *,
    procedure: str | None,
    severity: str | None,
    status: str | None,
    since: str | None,
    until: str | None,
    **equal: str | None,
) -> Filter:
    """Make a filter of what people type.

    Raises:
        Stop: it can't be meant.

    """
    wanted = Filter(
        procedure=_procedure(procedure),
        severity=(severity or "").upper(),
        status=_status(status),
        since=times.since("--since", since),
        until=times.until("--until", until),
        **{name: value or "" for name, value in equal.items()},
    )
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise Stop(Exit.USAGE, "--since is not before --until: nothing can have begun between them")
    return wanted


async def search(wanted: Filter, *, limit: int, form: str) -> None:
    """List the runs that a filter takes, the newest first.

    Raises:
        Stop: neither Temporal nor the archive answers.

    """
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
        raise Stop(Exit.USAGE, f"--status: {named!r} is no state of a run. There are: {', '.join(STATUSES)}")
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
    items = [_item(_row(found)) async for found in runs]
    if items:
        console.print(laid_out(_HEADS, items, console))
    else:
        console.print("no such run", style="dim")
    return len(items)


def _item(row: dict[str, str | None]) -> Item:
    told = {name: Text(value or "") for name, value in row.items()}
    run = Text(f"{row['workflow_id']}@{row['run_id']}", style="dim")
    ended = told["outcome"] if row["outcome"] else told["status"]
    what = joined(told["procedure"], told["severity"], between="  ")
    return Item(
        cells=(
            told["started_at"],
            told["procedure"],
            told["severity"],
            told["service"],
            told["incident"],
            ended,
            told["from"],
            run,
        ),
        name=joined(Text(row["started_at"] or "", style="bold"), what, between="  "),
        lines=(line(told["service"], told["incident"], ended, told["from"]), run),
    )
