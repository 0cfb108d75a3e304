"""MaintenanceWindow tells ahead, holds, does its tasks, and closes everything on every way out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError
from temporalio.testing import WorkflowEnvironment

from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, texts, told, until, waiting_for
from tests.workflows.worlds.busy_database import table
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.maintained import Maintained
from workflows.maintenance.maintenance_window import MaintenanceWindow, MaintenanceWindowRequest
from workflows.maintenance.window_notices import span
from workflows.maintenance.window_words import BeginNow, EndEarly, TickTask
from workflows.platform.approval import Decision
from workflows.platform.lease import Extend

NAME = "maintenance_window"
ADA = {"who": "ada", "role": "on-call"}
VACUUM = {"procedure": "database-maintenance", "input": {"tables": ["jobs"]}, "takes": "PT30M"}
SWAP = {"id": "swap", "check": "Swap the cable", "takes": "PT10M"}
HOUR = timedelta(hours=1)


@pytest.fixture
def world(company: Company) -> Maintained:
    made = Maintained(company)
    made.tables = [table()]
    return made


class Clock:
    """The test server's, from which all times of a test count."""

    def __init__(self, environment: WorkflowEnvironment, now: datetime) -> None:
        self.environment = environment
        self.start = now.replace(microsecond=0) + timedelta(hours=30)

    @property
    def day(self) -> str:
        """The start's."""
        return self.day_of(self.start)

    @staticmethod
    def day_of(at: datetime) -> str:
        """Give a time's day in the service's time zone."""
        return f"{at.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d}"

    def request(self, *, hours: float = 2, **fields: Any) -> MaintenanceWindowRequest:
        fields.setdefault("starts_at", self.start)
        if "ends_at" not in fields:
            fields["ends_at"] = fields["starts_at"] + hours * HOUR
        return MaintenanceWindowRequest.model_validate({"title": "Database upgrade", **fields})

    async def reach(self, at: datetime) -> None:
        left = at - await self.environment.get_current_time()
        if left > timedelta(0):
            await self.environment.sleep(left)


@pytest.fixture
async def clock(time_skipping: WorkflowEnvironment) -> Clock:
    return Clock(time_skipping, await time_skipping.get_current_time())


async def entered(handle: Handle) -> None:
    await until(handle, lambda status: "Enter the window" in texts(status))


async def started(client: Client, queue: str, clock: Clock, **fields: Any) -> Handle:
    """Start a run, and let its time come."""
    handle = await begin(client, queue, clock.request(**fields), NAME)
    await entered(handle)
    await clock.reach(clock.start + timedelta(seconds=1))
    return handle


async def decide(handle: Handle, question: str, choice: str) -> None:
    await waiting_for(handle, f"decide {question}")
    await handle.execute_update("decide", Decision(**ADA, question=question, choice=choice))


async def tick(handle: Handle, task: str = "swap", **fields: Any) -> str:
    await waiting_for(handle, f"tick {task}")
    return str(await handle.execute_update(MaintenanceWindow.tick, TickTask(**ADA, task=task, **fields)))


async def refused(handle: Handle, word: Any) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await handle.execute_update(word.UPDATE, word)
    return str(failure.value.cause)


async def fails(client: Client, queue: str, request: MaintenanceWindowRequest) -> str:
    handle = await begin(client, queue, request, NAME)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    found = cause(failed.value)
    return f"{found.type}: {found.message}"


# -- the whole way -------------------------------------------------------------------------------------------


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


# -- what is refused -----------------------------------------------------------------------------------------


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


async def until_ended(handle: Handle) -> None:
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, CancelledError)


@pytest.mark.parametrize(
    ("starts_at", "ends_at", "zone", "says"),
    [
        (
            "2026-03-29T00:30:00Z",
            "2026-03-29T02:00:00Z",
            "Europe/Berlin",
            "2026-03-29 01:30 CET to 04:00 CEST (2026-03-29 00:30 to 02:00 UTC)",
        ),
        (
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:30:00Z",
            "Europe/Berlin",
            "2026-10-25 02:30 CEST to 02:30 CET (2026-10-25 00:30 to 01:30 UTC)",
        ),
        ("2026-02-05T02:00:00Z", "2026-02-05T04:00:00Z", "UTC", "2026-02-05 02:00 to 04:00 UTC"),
        ("2026-02-05T22:00:00Z", "2026-02-06T02:00:00Z", "UTC", "2026-02-05 22:00 to 2026-02-06 02:00 UTC"),
        (
            "2026-02-05T22:30:00Z",
            "2026-02-05T23:30:00Z",
            "Europe/Berlin",
            "2026-02-05 23:30 to 2026-02-06 00:30 CET (2026-02-05 22:30 to 23:30 UTC)",
        ),
    ],
)
def test_each_end_is_told_in_its_own_offset(starts_at: str, ends_at: str, zone: str, says: str) -> None:
    assert span(datetime.fromisoformat(starts_at), datetime.fromisoformat(ends_at), zone) == says


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


# -- cancelled -----------------------------------------------------------------------------------------------


async def scheduled(handle: Handle, world: Maintained, clock: Clock) -> None:
    await entered(handle)


async def announced(handle: Handle, world: Maintained, clock: Clock) -> None:
    await scheduled(handle, world, clock)
    await clock.reach(clock.start - 2 * HOUR)
    await until(handle, lambda status: "Mail: maintenance_scheduled" in texts(status))


async def at_work(handle: Handle, world: Maintained, clock: Clock) -> None:
    world.slow = "jobs"
    await entered(handle)
    await clock.reach(clock.start + timedelta(seconds=1))
    await until(handle, lambda _: world.at_work)


async def ticking(handle: Handle, world: Maintained, clock: Clock) -> None:
    await entered(handle)
    await clock.reach(clock.start + timedelta(seconds=1))
    await waiting_for(handle, "tick swap")


async def overrunning(handle: Handle, world: Maintained, clock: Clock) -> None:
    await ticking(handle, world, clock)
    await clock.reach(clock.start + 2 * HOUR + timedelta(seconds=1))
    await waiting_for(handle, "decide overrun-1")


async def verifying(handle: Handle, world: Maintained, clock: Clock) -> None:
    await ticking(handle, world, clock)
    world.healthy = False
    await tick(handle)
    await waiting_for(handle, "decide verify-1")


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


# -- tasks that don't go well --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "outcome", "tasks"),
    [
        ("retry", "done", ["done", "done"]),
        ("skip", "done", ["skipped", "done"]),
        ("go-back", "gone back", ["failed", "stopped"]),
        (None, "gone back", ["failed", "stopped"]),
    ],
)
async def test_a_child_that_fails_is_put_before_a_person(
    working: Working,
    client: Client,
    world: Maintained,
    clock: Clock,
    *,
    choice: str | None,
    outcome: str,
    tasks: list[str],
) -> None:
    world.facts = {"in_recovery": True}
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[VACUUM, SWAP])
        status = await waiting_for(handle, "decide task-1")
        assert "which is a replica" in status.questions[0].evidence[0]
        world.facts = {}
        if choice:
            await decide(handle, "task-1", choice)
        if outcome == "done":
            await tick(handle)
        result = await handle.result()
    assert result["outcome"] == outcome
    assert [each["status"] for each in result["tasks"]] == tasks
    assert world.closed()
    ended_early = outcome != "done"
    assert [len(each) for each in world.subjects()] == [1 + ended_early] * 2
    assert world.notices()[-1] == ("Completed", "operational")


async def test_a_child_that_overruns_is_extended(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    world.slow = "jobs"
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[VACUUM])
        await until(handle, lambda _: world.at_work)
        said = await handle.execute_update(MaintenanceWindow.extend, Extend(**ADA, by=HOUR, reason="slow"))
        assert str(said) == f"until {clock.start + 3 * HOUR:%Y-%m-%d %H:%M} UTC"
        assert next(iter(world.silenced.values())) > clock.start + 3 * HOUR
        assert world.notices()[-1] == ("In progress", "")
        world.at_work = False
        result = await handle.result()
    assert result["outcome"] == "done"
    assert world.closed()


async def test_an_overrun_is_asked_and_nobody_s_answer_goes_back(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await waiting_for(handle, "tick swap")
        await clock.reach(clock.start + 2 * HOUR + timedelta(seconds=1))
        await decide(handle, "overrun-1", "extend")
        await until(handle, lambda status: "Window extended until" in texts(status))
        result = await handle.result()
        timeline = await told(handle)
    assert (result["outcome"], result["tasks"][0]["status"]) == ("gone back", "stopped")
    assert "overrun-2: go-back (no answer)" in timeline
    assert "No answer to overrun-2" in timeline
    lasted = datetime.fromisoformat(result["ended_at"]) - clock.start
    assert timedelta(hours=2, minutes=60) <= lasted < timedelta(hours=3, minutes=15)
    assert world.closed()


async def test_a_tick_during_the_question_answers_it(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await overrunning(handle, world, clock)
        await handle.execute_update(MaintenanceWindow.tick, TickTask(**ADA, task="swap"))
        result = await handle.result()
    assert (result["outcome"], result["tasks"][0]["status"]) == ("done", "done")


async def test_an_extension_never_reaches_into_the_next_window(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        next_one = await begin(client, queue, clock.request(starts_at=clock.start + 3 * HOUR), NAME)
        await entered(next_one)
        handle = await started(client, queue, clock, tasks=[SWAP])
        await waiting_for(handle, "tick swap")
        reason = await refused(handle, Extend(**ADA, by=2 * HOUR))
        assert "has another window then: MW-" in reason
        assert "may be extended by 4 h at most" in await refused(handle, Extend(**ADA, by=5 * HOUR))
        await handle.execute_update(MaintenanceWindow.extend, Extend(**ADA, by=HOUR / 2))
        await tick(handle)
        assert (await handle.result())["outcome"] == "done"
        await cancel(next_one)
        await until_ended(next_one)
    assert world.closed()


# -- words ---------------------------------------------------------------------------------------------------


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


async def test_a_tick_may_be_taken_back(working: Working, client: Client, world: Maintained, clock: Clock) -> None:
    other = {**SWAP, "id": "look"}
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP, other])
        await waiting_for(handle, "tick swap")
        await handle.execute_update(MaintenanceWindow.tick, TickTask(**ADA, task="look"))
        assert "ticked already" in await refused(handle, TickTask(**ADA, task="look"))
        await handle.execute_update(MaintenanceWindow.tick, TickTask(**ADA, task="look", undo=True))
        assert await tick(handle) == "look"
        assert await tick(handle, "look") == "everything is done"
        assert (await handle.result())["outcome"] == "done"


# -- what speaks against it ----------------------------------------------------------------------------------


async def test_it_does_not_begin_in_the_middle_of_an_incident(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    world.company.sql.execute(
        "INSERT INTO runbooks.incidents (incident_id, severity, title, service, commander, opened_at, workflow_id, "
        "run_id, effect_key) VALUES ('INC-1', 'P1', 'API down', 'tensafe-server', 'ada', now(), 'w', 'r', 'k')"
    )
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        status = await waiting_for(handle, "decide begin-1")
        assert status.questions[0].evidence == ["P1 INC-1 is open: API down"]
        result = await handle.result()
    assert (result["outcome"], result["started_at"]) == ("called off", None)
    assert world.silenced == {}
    assert world.closed()
    assert [len(each) for each in world.subjects()] == [2, 2]


async def test_it_begins_on_a_word_and_looks_again(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await decide(handle, "begin-1", "begin")
        world.healthy = True
        await tick(handle)
        assert (await handle.result())["outcome"] == "done"
    assert world.pages() == []


async def test_a_late_start_after_an_outage_of_ours_is_asked(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        # As if nobody had taken it up until then.
        handle = await client.start_workflow(
            MaintenanceWindow.run,
            clock.request(tasks=[SWAP]),
            id=f"late-{uuid4()}",
            task_queue=queue,
            start_delay=31.5 * HOUR,
        )
        await clock.reach(clock.start + 1.6 * HOUR)
        status = await waiting_for(handle, "decide begin-1")
        assert status.questions[0].evidence[0].startswith("it is 1:30:")
        assert set(status.questions[0].options) == {"begin", "shift", "call-off"}
        assert world.subjects() == [[], []]
        await decide(handle, "begin-1", "shift")
        await waiting_for(handle, "tick swap")
        moved = clock.day_of(await clock.environment.get_current_time())  # it begins as soon as that is decided
        assert world.subjects() == [[f"TenSafe: maintenance on {moved}"]] * 2
        await tick(handle)
        assert (await handle.result()).outcome == "done"
    assert world.closed()


# -- the end -------------------------------------------------------------------------------------------------


async def test_operational_is_said_only_of_what_is_healthy(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await verifying(handle, world, clock)
        await decide(handle, "verify-1", "look-again")
        await decide(handle, "verify-2", "end")
        result = await handle.result()
    assert (result["outcome"], result["healthy"]) == ("done, not healthy", False)
    assert world.notices()[-1] == ("Completed", "major_outage")
    assert world.closed()
    assert "the maintenance has ended, and the service is unhealthy" in world.pages()[0]


async def test_alerts_that_cannot_be_silenced_are_no_reason_not_to(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    world.down = {"silences"}
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await waiting_for(handle, "tick swap")
        world.down = set()
        await tick(handle)
        assert (await handle.result())["outcome"] == "done"
    assert len(world.done("silences.lift")) == 1  # what went unanswered may have been set


async def test_incidents_of_its_time_are_told_at_the_end(
    working: Working, client: Client, world: Maintained, clock: Clock
) -> None:
    async with working(world.activities()) as queue:
        handle = await started(client, queue, clock, tasks=[SWAP])
        await waiting_for(handle, "tick swap")
        at = await clock.environment.get_current_time()
        world.company.sql.execute(
            "INSERT INTO runbooks.incidents (incident_id, severity, title, service, commander, opened_at, workflow_id,"
            " run_id, effect_key) VALUES ('INC-2', 'P2', 'slow', 'tensafe-server', 'ada', %s, 'w', 'r', 'k')",
            (at,),
        )
        await tick(handle)
        result = await handle.result()
    assert result["incidents"] == ["INC-2"]
    assert "of its time is still open: INC-2" in world.pages()[0]
