"""The table of all schedules."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rich.text import Text
from temporalio.client import ScheduleDescription

from starters.cli.facts import as_document
from starters.cli.lists import Item, joined, laid_out, line
from starters.cli.people import console
from starters.steering.session import Session

_HEADS = ("schedule", "state", "last", "next", "missed", "note")


async def show(session: Session, runs: int, *, as_json: bool) -> None:
    """Show every schedule of the namespace, with its next `runs` runs."""
    if as_json:
        as_document([await _facts(session, found.id, runs) async for found in await session.client.list_schedules()])
        return
    found = [
        _item(one.id, await session.client.get_schedule_handle(one.id).describe(), runs)
        async for one in await session.client.list_schedules()
    ]
    if found:
        console.print(laid_out(_HEADS, found, console))
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


def _item(name: str, description: ScheduleDescription, runs: int) -> Item:
    info, schedule = description.info, description.schedule
    zone = ZoneInfo(schedule.spec.time_zone_name or "UTC")
    last = _shown(info.recent_actions[-1].started_at, zone) if info.recent_actions else "never"
    upcoming = [] if schedule.state.paused else [_shown(at, zone) for at in info.next_action_times[:runs]]
    state = Text("paused", style="yellow") if schedule.state.paused else Text("on")
    missed, note = _missed(description), Text(schedule.state.note or "", style="dim")
    head = Text(name, style="bold")
    return Item(
        cells=(
            head,
            state,
            Text(last),
            Text("\n".join(upcoming) or "—"),
            Text("\n".join(missed) or "none", style="red" if missed else ""),
            note,
        ),
        name=joined(head, state, between="  "),
        lines=(
            line(*(f"{'next ' if not number else ''}{at}" for number, at in enumerate(upcoming))),
            line(f"last {last}", Text(", ".join(missed), style="red")),
            note,
        ),
    )


def _missed(description: ScheduleDescription) -> list[str]:
    info = description.info
    missed = [
        f"{info.num_actions_missed_catchup_window} too late" if info.num_actions_missed_catchup_window else "",
        f"{info.num_actions_skipped_overlap} skipped: the one before was open"
        if info.num_actions_skipped_overlap
        else "",
    ]
    return [one for one in missed if one]


def _shown(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M %Z}"
