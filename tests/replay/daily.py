"""The days whose histories are kept (runbook 1.1, 1.2, 1.3)."""

from collections.abc import Callable

from activities.catalogue.daily import DailyPolicy
from tests.replay.cases import Case, Handle, waiting
from tests.replay.company import company
from tests.workflows.worlds.day import Day
from workflows.daily_operations.end_of_day import EndOfDayRequest
from workflows.daily_operations.hourly_health_pulse import HourlyHealthPulseRequest
from workflows.daily_operations.morning_startup import MorningStartupRequest
from workflows.platform.approval import Decision

ADA = {"who": "ada", "role": "commander"}


def day() -> Day:
    made = company()()
    return Day(made.pool, made.sql, made.server, made.service.customers, daily=DailyPolicy(incident="ask"))


def down(world: Day) -> None:
    world.world.healthy = False


def silent(*names: str) -> Callable[[Day], None]:
    def prepare(world: Day) -> None:
        world.down = set(names)

    return prepare


async def leaves_it(handle: Handle, world: Day) -> None:
    await waiting(handle, "decide incident")
    await handle.execute_update("decide", Decision(**ADA, question="incident", choice="leave"))


CASES: dict[str, Case] = {
    "morning_startup-green": Case(MorningStartupRequest(), world=day),
    "morning_startup-asked": Case(MorningStartupRequest(), leaves_it, down, day),
    "morning_startup-planned": Case(MorningStartupRequest(dry_run=True), prepare=down, world=day),
    "hourly_health_pulse-healthy": Case(HourlyHealthPulseRequest(), world=day),
    "hourly_health_pulse-warned": Case(HourlyHealthPulseRequest(), prepare=down, world=day),
    "end_of_day-handed-over": Case(EndOfDayRequest(), world=day),
    "end_of_day-unknown": Case(EndOfDayRequest(), prepare=silent("metrics", "support", "kubernetes"), world=day),
}
