"""MaintenanceWindow tells ahead, holds, does its tasks, and closes everything on every way out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.windows import (
    ADA,
    HOUR,
    NAME,
    SWAP,
    VACUUM,
    Clock,
    announced,
    at_work,
    entered,
    fails,
    overrunning,
    refused,
    scheduled,
    tick,
    ticking,
    until_ended,
    verifying,
)
from tests.workflows.steering import begin, cancel, texts, told, until, waiting_for
from tests.workflows.worlds.maintained import Maintained
from workflows.maintenance.maintenance_window import MaintenanceWindow, MaintenanceWindowRequest
from workflows.maintenance.window_words import BeginNow, EndEarly, TickTask


async def test_a_window_with_database_maintenance_as_its_child(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, clock.request(tasks=[VACUUM, SWAP]), NAME)
        await until(handle, lambda status: status.phase == "Scheduled" and "Enter the window" in texts(status))
        await clock.reach(clock.start - 25 * HOUR)
        assert (world.subjects(), world.notices()) == ([[], []], [])
        await clock.reach(clock.start - timedelta(hours=23, minutes=59))
        await until(handle, lambda status: "Mail: maintenance_scheduled" in texts(status))
        assert world.subjects() == [[f"TenSafe: maintenance on {clock.day}"]] * 2
        assert world.notices() == [("Scheduled", "")]
        assert world.silenced == {}
        await clock.reach(clock.start + timedelta(seconds=1))
        status = await waiting_for(handle, "tick swap")
        assert world.windows() == [("in_progress", "")]
        assert world.notices()[-1] == ("In progress", "under_maintenance")
        assert list(world.silenced.values()) > [clock.start + 2 * HOUR]
        assert "- [x] task-1: Database maintenance (6.2) – done by " in status.board
        child = await client.get_workflow_handle(f"{handle.id}/task-1").result()
        assert child["vacuumed"] == ["public.jobs"]
        assert await tick(handle, note="blue one") == "everything is done"
        result = await handle.result()
    assert (result["outcome"], result["healthy"], result["incidents"]) == ("done", True, [])
    assert [each["status"] for each in result["tasks"]] == ["done", "done"]
    assert datetime.fromisoformat(result["started_at"]) - clock.start < timedelta(minutes=1)
    assert world.closed()
    assert world.windows() == [("completed", "done")]
    assert world.notices() == [
        ("Scheduled", ""),
        ("In progress", "under_maintenance"),
        ("Verifying", ""),
        ("Completed", "operational"),
    ]
    assert world.pages() == []
    assert "Swap the cable – done by ada (on-call): blue one" in world.chat()


async def test_a_window_without_tasks_lasts_until_its_end(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, clock.request(), NAME)
        result = await handle.result()
    assert result["outcome"] == "done"
    assert datetime.fromisoformat(result["ended_at"]) >= clock.start + 2 * HOUR
    assert world.closed()


async def test_a_plan_does_nothing(working: Working, client: Client, world: Maintained, clock: Clock) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, clock.request(tasks=[VACUUM, SWAP], dry_run=True), NAME)
        result = await handle.result()
        timeline = await told(handle)
    assert (result["outcome"], world.effects, world.subjects()) == ("planned", [], [[], []])
    assert world.windows() == world.notices() == []
    assert "would wait until" in timeline
    assert "would wait for a person to tick: Swap the cable" in timeline


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tasks": [{"procedure": "database-maintenence"}]}, "tasks.1: no procedure 'database-maintenence'. Known: "),
        (
            {"tasks": [SWAP, {**VACUUM, "input": {"tabels": []}}]},
            "tasks.2: database-maintenance: tabels: there is no such field",
        ),
        ({"tasks": [{"procedure": "maintenance-window"}]}, "tasks.1: maintenance-window can't be a task of a window"),
        ({"tasks": [{**VACUUM, "input": {"service": "web"}}]}, "the window is one of tensafe-server"),
        ({"tasks": [SWAP, SWAP]}, "tasks: the ID swap is given twice"),
        ({"tenants": ["acme", "acmee"]}, "tenants: there is no customer acmee"),
    ],
)
async def test_what_cannot_be_meant_is_refused_at_once(
    working: Working, client: Client, world: Maintained, clock: Clock, *, fields: dict[str, Any], says: str
) -> None:
    async with working(world.activities()) as queue:
        failure = await fails(client, queue, clock.request(**fields))
    assert failure.startswith("InvalidInput: ")
    assert says in failure
    assert world.windows() == []


async def test_a_mistyped_year_is_refused(working: Working, client: Client, world: Maintained, clock: Clock) -> None:
    async with working(world.activities()) as queue:
        failure = await fails(client, queue, clock.request(ends_at=clock.start + timedelta(days=366)))
    assert "InvalidInput: ends_at: longer than settings allow (7 d, window.longest)" in failure
    assert world.windows() == []


async def test_the_past_is_refused(working: Working, client: Client, world: Maintained, clock: Clock) -> None:
    async with working(world.activities()) as queue:
        failure = await fails(client, queue, clock.request(starts_at=clock.start - 31 * HOUR))
    assert "InvalidInput: starts_at: is past, it is " in failure


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"ends_at": "2026-02-05T02:00:00Z"}, "ends_at: is not after starts_at"),
        ({"tasks": [{**VACUUM, "takes": "PT3H"}]}, "tasks: take 3 h together, and the window lasts 2 h"),
        ({"tasks": [{"takes": "PT1H"}]}, "procedure, check: name one of the two"),
        ({"starts_at": "2026-02-05 02:00"}, "timezone"),
    ],
)
def test_what_does_not_fit_is_no_request(fields: dict[str, Any], says: str) -> None:
    known = {"title": "x", "starts_at": "2026-02-05 02:00 UTC", "ends_at": "2026-02-05 04:00 UTC"}
    assert MaintenanceWindowRequest.model_validate(known).ends_at == datetime(2026, 2, 5, 4, tzinfo=UTC)
    with pytest.raises(ValueError, match=says):
        MaintenanceWindowRequest.model_validate({**known, **fields})


async def test_two_windows_of_a_service_do_not_overlap(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        first = await begin(client, queue, clock.request(), NAME)
        await entered(first)
        failure = await fails(client, queue, clock.request(starts_at=clock.start + HOUR))
        assert "Refused: Refused: tensafe-server has another window then: MW-" in failure
        assert first.id in failure
        after = await begin(client, queue, clock.request(starts_at=clock.start + 2 * HOUR), NAME)
        await entered(after)
        await cancel(first)
        await until_ended(first)
        again = await begin(client, queue, clock.request(), NAME)
        await entered(again)
        for handle in (after, again):
            await cancel(handle)
            await until_ended(handle)
    assert [status for status, _ in world.windows()] == ["cancelled"] * 3
    assert world.closed()


async def test_a_window_over_a_clock_change_lasts_as_long_as_was_said(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    """From half past one, CET, to four, CEST: an hour and a half, and not two and a half."""
    year = clock.start.year + 1
    last_sunday = max(day for day in range(25, 32) if datetime(year, 3, day, tzinfo=UTC).isoweekday() == 7)
    request = clock.request(
        starts_at=f"{year}-03-{last_sunday}T01:30:00+01:00", ends_at=f"{year}-03-{last_sunday}T04:00:00+02:00"
    )
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request, NAME)
        await entered(handle)
        while (left := request.starts_at - await clock.environment.get_current_time()) > 12 * HOUR:
            await clock.environment.sleep(min(left - 11 * HOUR, timedelta(days=20)))
        result = await handle.result()
    lasted = datetime.fromisoformat(result["ended_at"]) - datetime.fromisoformat(result["started_at"])
    assert 1.4 * HOUR < lasted < 1.7 * HOUR
    assert "01:30 CET to" in world.chat()
    assert world.closed()


@pytest.mark.parametrize("phase", [scheduled, announced, at_work, ticking, overrunning, verifying])
async def test_cancelled_at_any_point_everything_is_closed(
    working: Working, client: Client, world: Maintained, clock: Clock, phase: Callable[..., Any]
) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, clock.request(tasks=[VACUUM, SWAP]), NAME)
        await phase(handle, world, clock)
        await cancel(handle)
        if phase is at_work:
            await until_ended(client.get_workflow_handle(f"{handle.id}/task-1"))
            assert len(world.done("postgres.stop_work")) == 1
        await until_ended(handle)
        timeline = await told(handle)
    assert world.closed(), timeline
    assert world.windows() == [("cancelled", "cancelled")]
    mails = [len(each) for each in world.subjects()]
    if phase is scheduled:  # nobody had heard of it, and so nobody hears of its end
        assert (mails, world.notices()) == ([0, 0], [])
    else:
        assert mails == [2, 2]
        how = "cancelled" if phase is announced else "ended early"
        assert world.subjects()[0][-1] == f"TenSafe: maintenance on {clock.day} is {how}"
        shows = {announced: "", verifying: "major_outage"}.get(phase, "operational")
        assert world.notices()[-1] == ("Completed", shows)
    assert "*cancelled*" in world.chat()


async def test_it_begins_and_ends_on_a_word(working: Working, client: Client, world: Maintained, clock: Clock) -> None:
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, clock.request(tasks=[SWAP]), NAME)
        await entered(handle)
        assert "has not begun" in await refused(handle, EndEarly(**ADA, reason="enough"))
        assert "has not begun" in await refused(handle, TickTask(**ADA, task="swap"))
        assert "'csm' may not maintain" in await refused(handle, BeginNow(who="carl", role="csm"))
        said = await handle.execute_update(MaintenanceWindow.begin_now, BeginNow(**ADA, reason="quiet"))
        assert str(said) == "begins now"
        await waiting_for(handle, "tick swap")
        assert "begun already" in await refused(handle, BeginNow(**ADA))
        assert "there is no 'swapp'" in await refused(handle, TickTask(**ADA, task="swapp"))
        await handle.execute_update(MaintenanceWindow.end, EndEarly(**ADA, reason="enough"))
        result = await handle.result()
    assert (result["outcome"], result["why"]) == ("ended early", "enough")
    assert datetime.fromisoformat(result["ended_at"]) < clock.start
    assert world.closed()
    assert [len(each) for each in world.subjects()] == [1, 1]
