"""A person sees who waits for whom, and ends whom they choose."""

from datetime import timedelta

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.maintenance.databases import NAME, decides, pids, request
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.busy_database import LONG_AGO, BusyDatabase, session, table


async def test_a_person_sees_who_waits_for_whom_and_chooses_one_after_the_other(
    working: Working, client: Client
) -> None:
    world = BusyDatabase()
    world.sessions = [
        session(11, blocks=1),
        session(12, blocked_by=[11]),
        session(13),
        session(14, superuser=True),
        session(15, backend_type="walsender"),
    ]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        status = await waiting_for(handle, "decide end-1")
        (question,) = status.questions
        assert list(question.options) == ["leave", "11", "12", "13", "all"]
        assert question.default == "leave"
        assert question.evidence[1].startswith("  12 ")
        assert "dba" in question.roles
        await decides(handle, "end-1", "11")
        status = await waiting_for(handle, "decide end-2")
        assert list(status.questions[0].options) == ["leave", "12", "13", "all"]
        await decides(handle, "end-2", "leave")
        result = await handle.result()
    assert pids(world) == [11]
    assert result["ended"] == ["11: cancelled"]


async def test_all_of_them(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.sessions = [session(11), session(13)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "end-1", "all")
        await handle.result()
    assert pids(world) == [11, 13]


@pytest.mark.parametrize("blocking", [True, False])
async def test_nobodys_answer_leaves_them_and_pages_only_where_others_wait(
    working: Working, client: Client, *, blocking: bool
) -> None:
    world = BusyDatabase(decision_timeout=timedelta(minutes=15))
    world.sessions = [session(11, blocks=int(blocking))]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        result = await handle.result()
        closed = await handle.describe()
    assert pids(world) == result["ended"] == []
    assert len(world.done("paging.page")) == int(blocking)
    assert closed.close_time is not None
    assert closed.close_time - closed.start_time >= timedelta(minutes=30)


async def test_a_superusers_session_is_offered_where_the_request_names_it(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.sessions = [session(11), session(14, superuser=True)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(end=[14]), NAME)
        status = await waiting_for(handle, "decide end-1")
        assert list(status.questions[0].options) == ["leave", "named", "11", "14", "all"]
        await decides(handle, "end-1", "named")
        await decides(handle, "end-2", "leave")
        await handle.result()
    (ended,) = world.done("postgres.end_session")
    assert (ended.pid, ended.named) == (14, True)


async def test_a_pid_that_is_somebody_elses_by_now_is_not_the_named_one(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.sessions = [session(11), session(14, superuser=True)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(end=[14]), NAME)
        await waiting_for(handle, "decide end-1")
        world.sessions = [session(13), session(14, superuser=True, backend_start=LONG_AGO)]
        await decides(handle, "end-1", "11")
        status = await waiting_for(handle, "decide end-2")
        assert list(status.questions[0].options) == ["leave", "13"]
        await decides(handle, "end-2", "leave")
        await handle.result()


async def test_who_names_sessions_is_asked_before_the_work_and_not_again(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.sessions = [session(11)]
    world.tables = [table(dead=20_000)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(end=[11]), NAME)
        await waiting_for(handle, "decide end-1")
        assert not world.done("postgres.vacuum")
        await decides(handle, "end-1", "leave")
        result = await handle.result()
    assert result["vacuumed"] == ["public.jobs"]
