"""What of a schedule differs from another: Temporal gives them back in another form than it was given."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleRange,
    ScheduleSpec,
)


async def differences(client: Client, there: Schedule, wanted: Schedule) -> list[str]:
    """Name what is not as wanted, in words; empty where nothing would change."""
    found = [
        ("when it runs", _times(there.spec), _times(wanted.spec)),
        ("how late it may run, or beside another", _policy(there), _policy(wanted)),
        ("what it starts", await _action(client, there), await _action(client, wanted)),
        ("its note", there.state.note, wanted.state.note),
        ("whether it is paused", there.state.paused, wanted.state.paused),
    ]
    return [what for what, one, other in found if one != other]


def _times(spec: ScheduleSpec) -> Any:
    return (
        sorted(map(_calendar, spec.calendars)),
        sorted(map(_calendar, spec.skip)),
        sorted((interval.every, interval.offset or timedelta(0)) for interval in spec.intervals),
        list(spec.cron_expressions),
        spec.time_zone_name or "UTC",
        spec.jitter or timedelta(0),
        spec.start_at,
        spec.end_at,
    )


def _calendar(calendar: ScheduleCalendarSpec) -> Any:
    fields = (
        calendar.year,
        calendar.month,
        calendar.day_of_month,
        calendar.day_of_week,
        calendar.hour,
        calendar.minute,
        calendar.second,
    )
    return tuple(tuple(sorted(set(_values(field)))) for field in fields)


def _values(ranges: Sequence[ScheduleRange]) -> Iterator[int]:
    for one in ranges:
        yield from range(one.start, max(one.end, one.start) + 1, one.step or 1)


def _policy(schedule: Schedule) -> Any:
    policy = schedule.policy
    return policy.overlap, policy.catchup_window, policy.pause_on_failure


async def _action(client: Client, schedule: Schedule) -> Any:
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    return (
        action.workflow,
        action.id,
        action.task_queue,
        action.priority,
        [await _plain(client, value) for value in action.args],
    )


async def _plain(client: Client, value: Any) -> Any:
    """Give an argument as JSON has it: Temporal gives payloads back, perhaps encrypted ones."""
    if isinstance(value, Payload):
        (value,) = await client.data_converter.decode([value])
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
