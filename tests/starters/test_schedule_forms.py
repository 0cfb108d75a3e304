"""Two schedules are the same whatever form Temporal gives them back in, and what differs is named."""

from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)

from starters.schedule_forms import differences

START = ScheduleActionStartWorkflow("EndOfDay", {"service": "web"}, id="end-of-day/web", task_queue="runbooks")
AT_FIVE = ScheduleCalendarSpec(hour=(ScheduleRange(17),), day_of_week=(ScheduleRange(1, 5),))
WANTED = Schedule(action=START, spec=ScheduleSpec(calendars=[AT_FIVE], time_zone_name="Europe/Berlin"))


async def test_another_form_of_the_same_is_the_same(client: Client) -> None:
    spelled = ScheduleCalendarSpec(
        hour=(ScheduleRange(17, 17, 1),), day_of_week=tuple(ScheduleRange(day) for day in (5, 4, 3, 2, 1))
    )
    there = replace(WANTED, spec=replace(WANTED.spec, calendars=[spelled]))
    assert await differences(client, there, WANTED) == []


async def test_no_zone_is_utc(client: Client) -> None:
    every = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))])
    there, wanted = replace(WANTED, spec=every), replace(WANTED, spec=replace(every, time_zone_name="UTC"))
    assert await differences(client, there, wanted) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"spec": ScheduleSpec(calendars=[AT_FIVE], time_zone_name="UTC")}, "when it runs"),
        ({"policy": SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL)}, "how late it may run, or beside another"),
        ({"action": replace(START, args=[{"service": "api"}])}, "what it starts"),
        ({"action": replace(START, id="end-of-day/api")}, "what it starts"),
        ({"state": ScheduleState(note="moving")}, "its note"),
        ({"state": ScheduleState(paused=True)}, "whether it is paused"),
    ],
)
async def test_what_differs_is_named(client: Client, change: dict[str, object], named: str) -> None:
    assert await differences(client, replace(WANTED, **change), WANTED) == [named]  # type: ignore[arg-type]
