"""The days whose histories are kept (runbook 1.1, 1.2, 1.3)."""

from collections.abc import Callable
from datetime import UTC, datetime

from activities.catalogue.daily import DailyPolicy
from activities.monitoring.runs import OpenRun
from tests.replay.cases import Case, Handle, waiting
from tests.replay.company import company
from tests.workflows.worlds.day import Day
from workflows.daily_operations.end_of_day import EndOfDayRequest
from workflows.daily_operations.hourly_health_pulse import HourlyHealthPulseRequest
from workflows.daily_operations.morning_startup import MorningStartupRequest
from workflows.platform.approval import Decision

ADA = {"who": "ada", "role": "commander"}


def day(policy: DailyPolicy | None = None) -> Day:
    made = company()()
    daily = policy or DailyPolicy(incident="ask")
    return Day(made.pool, made.sql, made.server, made.service.customers, daily=daily)


def down(world: Day) -> None:
    world.world.healthy = False


def silent(*names: str) -> Callable[[Day], None]:
    def prepare(world: Day) -> None:
        world.down = set(names)

    return prepare


def listed(world: Day) -> None:
    """It is down, and the run that is listed as at work on it has ended."""
    down(world)
    world.runs = [
        OpenRun(workflow_id="p1-incident/gone", procedure="P1Incident", title="down", started_at=datetime.now(UTC))
    ]


async def leaves_it(handle: Handle, world: Day) -> None:
    await waiting(handle, "decide incident")
    await handle.execute_update("decide", Decision(**ADA, question="incident", choice="leave"))


CASES: dict[str, Case] = {
    "morning_startup-green": Case(MorningStartupRequest(), world=day),
    "morning_startup-asked": Case(MorningStartupRequest(), leaves_it, down, day),
    "morning_startup-listed-as-open": Case(MorningStartupRequest(), leaves_it, listed, day),
    "morning_startup-started": Case(
        MorningStartupRequest(), prepare=down, world=lambda: day(DailyPolicy(incident="auto"))
    ),
    "morning_startup-planned": Case(MorningStartupRequest(dry_run=True), prepare=down, world=day),
    "hourly_health_pulse-healthy": Case(HourlyHealthPulseRequest(), world=day),
    "hourly_health_pulse-warned": Case(HourlyHealthPulseRequest(), prepare=down, world=day),
    "end_of_day-handed-over": Case(EndOfDayRequest(), world=day),
    "end_of_day-with-windows": Case(EndOfDayRequest(), world=day),
    "end_of_day-unknown": Case(EndOfDayRequest(), prepare=silent("metrics", "support", "kubernetes"), world=day),
}
