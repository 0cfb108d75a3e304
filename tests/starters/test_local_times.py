"""What is due at a local time is started once, also on the days on which a clock is changed: asked of the server.

When it should be is computed here in another way than the product does: by going through the minutes of a day, with
another library's time zones.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from uuid import uuid4

import pytest
from dateutil import tz  # type: ignore[import-untyped]
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow

from activities.catalogue.base import Weekday
from starters.local_times import LocalTimes

ALL: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = tuple(range(24))
ZONES = ("Europe/Berlin", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kolkata")
MINUTE = timedelta(minutes=1)
TODAY = date(2026, 1, 1)


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await Client.connect(temporal_address)


@cache
def minutes(day: date, zone: str) -> list[tuple[datetime, datetime]]:
    """Give the minutes of a local day: the instant, and what the clock shows."""
    return list(_minutes(day, zone))


def _minutes(day: date, zone: str) -> Iterator[tuple[datetime, datetime]]:
    place = tz.gettz(zone)
    at = datetime.combine(day, time(), UTC) - timedelta(hours=15)
    while at < datetime.combine(day, time(), UTC) + timedelta(hours=39):
        local = at.astimezone(place).replace(tzinfo=None)
        if local.date() == day:
            yield at, local
        at += MINUTE


@cache
def changes(zone: str) -> list[date]:
    """Find the days of 2026 to 2028 on which the zone's clock is changed."""
    place = tz.gettz(zone)
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(3 * 365 + 1)]
    offsets = [datetime.combine(day, time(12), place).utcoffset() for day in days]
    return [day for day, one, before in zip(days[1:], offsets[1:], offsets, strict=False) if one != before]


def due(day: date, zone: str, hours: tuple[int, ...], minute: int) -> set[datetime]:
    """Say when each is due: the first moment at which the day's clock shows it, or has jumped over it."""
    found = set()
    for hour in hours:
        wanted = datetime.combine(day, time(hour, minute))
        found.add(next(at for at, local in minutes(day, zone) if local >= wanted))
    return found


Asking = Callable[[datetime, datetime], Awaitable[list[datetime]]]


@asynccontextmanager
async def scheduled(client: Client, times: LocalTimes) -> AsyncIterator[Asking]:
    """Make a schedule; gives how to ask the server when it would start a run."""
    action = ScheduleActionStartWorkflow("Nothing", id="nothing", task_queue="nobody")
    name = f"times-{uuid4()}"

    async def ask(begin: datetime, end: datetime) -> list[datetime]:
        answer = await client.workflow_service.list_schedule_matching_times(
            ListScheduleMatchingTimesRequest(
                namespace=client.namespace,
                schedule_id=name,
                start_time=Timestamp(seconds=int(begin.timestamp()) - 1),
                end_time=Timestamp(seconds=int(end.timestamp())),
            )
        )
        return [at.ToDatetime(tzinfo=UTC) for at in answer.start_time]

    handle = await client.create_schedule(name, Schedule(action=action, spec=times.spec(TODAY)))
    try:
        yield ask
    finally:
        await handle.delete()


def test_the_zones_have_the_clock_changes_that_are_known_of_them() -> None:
    assert {zone: len(changes(zone)) for zone in ZONES} == dict(zip(ZONES, (6, 6, 6, 6, 0), strict=True))


TIMES = [
    *((HOURS, minute) for minute in (0, 15, 45)),
    *(((hour,), minute) for hour in (0, 1, 2, 3, 8, 23) for minute in (0, 30)),
]


@pytest.mark.parametrize("zone", ZONES)
async def test_all_clock_changes_of_three_years(client: Client, zone: str) -> None:
    wrong = {}
    for hours, minute in TIMES:
        async with scheduled(client, LocalTimes(ALL, hours, minute, zone)) as ask:
            for changed in changes(zone) or [date(2027, 3, 28)]:
                around = [changed + timedelta(days=number) for number in (-1, 0, 1)]
                wanted = set().union(*(due(day, zone, hours, minute) for day in around))
                found = await ask(minutes(around[0], zone)[0][0], minutes(around[-1], zone)[-1][0])
                # In an hour that is taken out of the calendar a run begins a second later.
                whole = [at.replace(second=0) for at in found]
                if sorted(wanted) != whole or any(at.second > 1 for at in found):
                    wrong[hours, minute, str(changed)] = (sorted(wanted - {*whole}), sorted({*whole} - wanted))
    assert wrong == {}


@pytest.mark.parametrize(
    ("day", "at", "zone", "changed"),
    [
        ("sun", time(2, 30), "Europe/Berlin", date(2027, 3, 28)),
        ("sun", time(1, 30), "America/New_York", date(2027, 11, 7)),
        ("sun", time(2, 15), "Australia/Lord_Howe", date(2027, 10, 3)),
        ("fri", time(0, 30), "Africa/Cairo", date(2027, 4, 30)),
    ],
)
async def test_what_runs_once_a_week_runs_once_in_that_week(
    client: Client, day: Weekday, at: time, zone: str, changed: date
) -> None:
    begin = datetime.combine(changed, time(), UTC) - timedelta(days=4)
    times = LocalTimes((day,), (at.hour,), at.minute, zone)
    async with scheduled(client, times) as ask:
        found = await ask(begin, begin + timedelta(days=7))
    assert [moment.replace(second=0) for moment in found] == sorted(due(changed, zone, (at.hour,), at.minute))


@pytest.mark.parametrize(
    ("at", "zone", "changed"),
    [
        (time(2, 30), "Australia/Sydney", date(2026, 10, 4)),
        (time(2, 30), "Australia/Sydney", date(2026, 4, 5)),
        (time(0, 30), "Africa/Cairo", date(2026, 4, 24)),
        (time(2, 45), "Pacific/Auckland", date(2027, 4, 4)),
        (time(6, 0), "Europe/Berlin", date(2026, 10, 25)),
    ],
)
async def test_what_runs_once_a_quarter_runs_once_in_that_quarter(
    client: Client, at: time, zone: str, changed: date
) -> None:
    times = LocalTimes(ALL, (at.hour,), at.minute, zone, months=(1, 4, 7, 10), day_of_month=changed.day)
    begin = datetime.combine(changed, time(), UTC) - timedelta(days=20)
    async with scheduled(client, times) as ask:
        found = await ask(begin, begin + timedelta(days=40))
    assert [moment.replace(second=0) for moment in found] == sorted(due(changed, zone, (at.hour,), at.minute))


async def test_days_off_are_left_out_and_a_clock_change_on_one_is_too(client: Client) -> None:
    off = frozenset({date(2027, 3, 26), date(2027, 3, 28), date(2027, 3, 29)})
    times = LocalTimes(ALL, (2,), 30, "Europe/Berlin", off)
    async with scheduled(client, times) as ask:
        found = await ask(datetime(2027, 3, 25, tzinfo=UTC), datetime(2027, 3, 31, tzinfo=UTC))
    assert [at.day for at in found] == [25, 27, 30]


def test_a_schedule_that_no_clock_change_touches_is_a_calendar_alone() -> None:
    spec = LocalTimes(("mon",), (8,), 0, "Europe/Berlin").spec(TODAY)
    assert (len(spec.calendars), spec.skip, spec.intervals) == (1, [], [])
