"""The table of all schedules."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich import box
from rich.table import Table
from temporalio.client import ScheduleDescription

from starters.cli.facts import as_document
from starters.cli.people import console
from starters.steering.session import Session


async def show(session: Session, runs: int, *, as_json: bool) -> None:
    """Show every schedule of the namespace, with its next `runs` runs."""
    if as_json:
        as_document([await _facts(session, found.id, runs) async for found in await session.client.list_schedules()])
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("schedule", "state", "last", "next", "missed", "note"):
        table.add_column(name, overflow="fold")
    async for found in await session.client.list_schedules():
        description = await session.client.get_schedule_handle(found.id).describe()
        table.add_row(found.id, *_row(description, runs))
    if table.row_count:
        console.print(table)
    else:
        console.print("no schedules: `runbooks schedules apply` makes them", style="dim")


async def _facts(session: Session, name: str, runs: int) -> dict[str, Any]:
    description = await session.client.get_schedule_handle(name).describe()
    info, state = description.info, description.schedule.state
    return {
        "schedule": name,
        "paused": state.paused,
        "time_zone": description.schedule.spec.time_zone_name or "UTC",
        "last": info.recent_actions[-1].started_at if info.recent_actions else None,
        "next": [] if state.paused else list(info.next_action_times[:runs]),
        "missed_too_late": info.num_actions_missed_catchup_window,
        "missed_still_open": info.num_actions_skipped_overlap,
        "note": state.note or "",
    }


def _row(description: ScheduleDescription, runs: int) -> tuple[str, ...]:
    info, schedule = description.info, description.schedule
    zone = ZoneInfo(schedule.spec.time_zone_name or "UTC")
    last = info.recent_actions[-1].started_at if info.recent_actions else None
    upcoming = [] if schedule.state.paused else info.next_action_times[:runs]
    return (
        "paused" if schedule.state.paused else "on",
        _shown(last, zone) if last else "never",
        "\n".join(_shown(at, zone) for at in upcoming) or "—",
        _missed(description),
        schedule.state.note or "",
    )


def _missed(description: ScheduleDescription) -> str:
    info = description.info
    missed = [
        f"{info.num_actions_missed_catchup_window} too late" if info.num_actions_missed_catchup_window else "",
        f"{info.num_actions_skipped_overlap} still open" if info.num_actions_skipped_overlap else "",
    ]
    return "\n".join(filter(None, missed)) or "none"


def _shown(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"
