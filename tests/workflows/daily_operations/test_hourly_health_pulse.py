"""HourlyHealthPulse: one warning an episode, whoever looks and whatever doesn't answer meanwhile."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleHandle, ScheduleSpec

from activities.catalogue.daily import DailyPolicy
from tests.workflows.conftest import Working
from tests.workflows.daily_operations.clocks import fired
from tests.workflows.steering import begin, texts, until
from tests.workflows.worlds.day import Day
from workers.clients import connect
from workers.settings import TemporalSettings
from workers.worker import build
from workflows.daily_operations.hourly_health_pulse import HourlyHealthPulse, HourlyHealthPulseRequest

NAME = "hourly_health_pulse"


async def pulse(client: Client, queue: str, **fields: Any) -> dict[str, Any]:
    handle = await begin(client, queue, HourlyHealthPulseRequest(**fields), NAME)
    result: dict[str, Any] = await handle.result()
    return result


def warnings(day: Day) -> list[tuple[str, str]]:
    return day.rows("SELECT status, service FROM runbooks.alerts WHERE source = 'pulse' ORDER BY starts_at")


async def test_one_warning_an_episode_and_its_end(working: Working, client: Client, day: Day) -> None:
    async with working(day.activities()) as queue:
        await pulse(client, queue)
        assert (day.messages(), warnings(day)) == ([], [])
        day.world.healthy = False
        for _ in range(3):
            assert (await pulse(client, queue))["warned"]
        assert len(day.messages()) == 1
        assert "tensafe-server is not healthy: unhealthy" in day.messages()[0]
        assert "No incident is open" in day.messages()[0]
        day.world.healthy = True
        for _ in range(2):
            assert not (await pulse(client, queue))["warned"]
        assert "is healthy again" in day.messages()[1]
        day.world.healthy = False
        await pulse(client, queue)
    assert len(day.messages()) == 3
    assert warnings(day) == [("resolved", "tensafe-server"), ("firing", "tensafe-server")]


async def test_a_blip_warns_nobody(working: Working, client: Client, day: Day) -> None:
    day.world.healthy = False
    async with working(day.activities()) as queue:
        handle = await begin(client, queue, HourlyHealthPulseRequest(), NAME)
        await until(handle, lambda status: "unhealthy" in texts(status))
        day.world.healthy = True
        assert (await handle.result())["healthy"]
    assert (day.messages(), warnings(day)) == ([], [])


async def test_a_pulse_that_cannot_look_is_a_warning(working: Working, client: Client, day: Day) -> None:
    day.down = {"health.check"}
    async with working(day.activities()) as queue:
        await pulse(client, queue)
    (message,) = day.messages()
    assert "it could not be asked: Unavailable: health.check did not answer" in message


async def test_a_plan_changes_nothing(working: Working, client: Client, day: Day) -> None:
    day.world.healthy = False
    async with working(day.activities()) as queue:
        assert (await pulse(client, queue, dry_run=True))["healthy"] is False
    assert (day.messages(), warnings(day)) == ([], [])


async def test_who_has_an_incident_is_named(working: Working, client: Client, day: Day) -> None:
    day.world.healthy = False
    day.sql.execute(
        "INSERT INTO runbooks.incidents (incident_id, severity, title, service, commander, opened_at, workflow_id, "
        "run_id, effect_key) VALUES ('INC-7', 'P1', 'down', 'tensafe-server', 'ada', now(), 'w', 'r', 'k')"
    )
    async with working(day.activities()) as queue:
        await pulse(client, queue)
    assert "INC-7 is open." in day.messages()[0]


@pytest.fixture
async def scheduled(temporal_address: str, day: Day) -> Any:
    """A schedule on the real server, and a worker for it: the test server has none."""
    queue = f"pulse-{uuid4()}"
    day.service = day.service.model_copy(update={"daily": DailyPolicy(confirm_after=timedelta(milliseconds=10))})
    client = await connect(TemporalSettings(address=temporal_address))
    action = ScheduleActionStartWorkflow(HourlyHealthPulse.run, HourlyHealthPulseRequest(), id=queue, task_queue=queue)
    handle = await client.create_schedule(queue, Schedule(action=action, spec=ScheduleSpec()))
    async with build(client, TemporalSettings(task_queue=queue), day.activities()):
        yield client, handle
    await handle.delete()


async def test_without_records_the_schedules_pulses_remember_what_was_told(
    scheduled: tuple[Client, ScheduleHandle], day: Day
) -> None:
    client, schedule = scheduled
    posted: list[str] = []
    seen = []
    for records, healthy in ((True, True), (False, False), (False, False), (True, False), (True, True), (False, True)):
        # The chat is Slack's own: it answers while the records don't.
        day.down = set() if records else {"records.pulse", "records.open_incidents"}
        day.world.healthy = healthy
        result = await fired(client, schedule)
        posted = day.messages()
        seen.append((result["warned"], len(posted)))
    assert seen == [(False, 0), (True, 1), (True, 1), (True, 1), (False, 2), (False, 2)]
    assert "Whether it has an incident is not known" in posted[0]
    assert warnings(day) == [("resolved", "tensafe-server")]


async def test_what_the_channel_missed_the_next_pulse_tells(scheduled: tuple[Client, ScheduleHandle], day: Day) -> None:
    client, schedule = scheduled
    day.world.healthy = False
    day.down = {"slack.post"}
    assert not (await fired(client, schedule))["warned"]
    day.down = set()
    assert (await fired(client, schedule))["warned"]
    assert len(day.messages()) == 1


async def test_a_scheduled_one_and_those_that_people_start_warn_once(
    scheduled: tuple[Client, ScheduleHandle], day: Day
) -> None:
    client, schedule = scheduled
    day.world.healthy = False
    results = await asyncio.gather(
        fired(client, schedule), *(pulse(client, schedule.id, dry_run=False) for _ in range(3))
    )
    assert all(result["warned"] for result in results)
    assert len(day.messages()) == len(warnings(day)) == 1
