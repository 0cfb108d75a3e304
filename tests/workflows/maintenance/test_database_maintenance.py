"""DatabaseMaintenance decides: only what is needed, only what is there, and nobody ended without a person's word."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import CancelledError

from activities.catalogue.service import ApprovalPolicy
from activities.database.backups.system import Backup
from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, cancel, cause, told, until, waiting_for
from tests.workflows.worlds.busy_database import LONG_AGO, BusyDatabase, index, session, table
from tests.workflows.worlds.pointed import SECRET
from workflows.maintenance.database_maintenance import DatabaseMaintenanceRequest
from workflows.platform.approval import Decision

NAME = "database_maintenance"
DBA = {"who": "dana", "role": "dba"}


def request(**fields: Any) -> DatabaseMaintenanceRequest:
    return DatabaseMaintenanceRequest(**fields)


async def run(working: Working, client: Client, world: BusyDatabase, **fields: Any) -> tuple[dict[str, Any], str]:
    """Run one that needs nobody; give its result and timeline."""
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(**fields), NAME)
        result = await handle.result()
        return result, await told(handle)


async def fails(working: Working, client: Client, world: BusyDatabase, **fields: Any) -> tuple[str, str]:
    """Run one that fails; give its failure's type and message."""
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(**fields), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        found = cause(failed.value)
        return f"{found.type}: {found.message}", await told(handle)


async def decides(handle: Handle, question: str, choice: str) -> None:
    await waiting_for(handle, f"decide {question}")
    await handle.execute_update("decide", Decision(**DBA, question=question, choice=choice))


def pids(world: BusyDatabase) -> list[int]:
    return [each.pid for each in world.done("postgres.end_session")]


# -- what is needed ------------------------------------------------------------------------------------------


async def test_a_healthy_database_is_left_alone(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [table(dead=9_999), table("big", dead=20_000, rows=10_000_000)]
    world.indexes = [index(bloat=0.39), index("small", size=2**20, bloat=0.9)]
    result, timeline = await run(working, client, world)
    assert result["vacuumed"] == result["reindexed"] == result["problems"] == []
    assert world.effects == []
    assert "nothing needs vacuum or reindex" in timeline


async def test_what_needs_it_is_done_the_worst_first(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [
        table("dead", dead=20_000),
        table("deader", dead=40_000),
        table("stale", changed=15_000),
        table("old", age=170_000_000),
    ]
    world.indexes = [
        index(bloat=0.6),
        index("worse", bloat=0.9),
        index("broken", valid=False, bloat=None),
        index("jobs_state_ccnew", oid=8, valid=False, leftover=True),
    ]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "drop-indexes", "drop")
        result, timeline = await handle.result(), await told(handle)
    assert result["vacuumed"] == ["public.old", "public.deader", "public.dead", "public.stale"]
    assert [each.freeze for each in world.done("postgres.vacuum")] == [True, False, False, False]
    assert result["reindexed"] == ["public.broken", "public.worse", "public.jobs_state"]
    assert result["dropped"] == ["public.jobs_state_ccnew"]
    assert (result["before"]["dead_rows"], result["after"]["dead_rows"]) == (60_000, 0)
    assert "vacuum public.dead: 20,000 dead rows (17%)" in timeline
    assert "reindex public.worse: 90% of 1.0 GiB is waste" in timeline
    keys = [each.effect.key.rpartition("/")[2] for each in world.done("postgres.vacuum")]
    assert keys == ["vacuum", "vacuum-2", "vacuum-3", "vacuum-4"]
    assert "public.old" in world.done("slack.post")[-1].text


@pytest.mark.parametrize(
    ("choice", "dropped", "kept"),
    [
        ("drop", ["public.i_ccnew", "public.j"], []),
        ("public.j", ["public.j"], ["public.i_ccnew"]),
        ("keep", [], ["public.i_ccnew", "public.j"]),
        (None, [], ["public.i_ccnew", "public.j"]),
    ],
)
async def test_an_index_is_dropped_on_a_word_alone(
    working: Working, client: Client, choice: str | None, dropped: list[str], kept: list[str]
) -> None:
    world = BusyDatabase()
    twin = {"valid": False, "twin": "public.i", "twin_valid": True}
    world.indexes = [index("i_ccnew", oid=8, leftover=True, **twin), index("j", oid=9, **twin)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        if choice:
            await decides(handle, "drop-indexes", choice)
        result, timeline = await handle.result(), await told(handle)
        status = await handle.query("status")
    assert (result["dropped"], result["kept"], result["reindexed"]) == (dropped, kept, [])
    assert [each.index for each in world.done("postgres.drop_leftover")] == [name[7:] for name in dropped]
    assert "drop public.j: it is invalid, queries don't use it; public.i has all that it would have" in timeline
    assert status["outcome"] == ("maintained" if dropped else "problems found")
    assert not world.done("paging.page")


async def test_a_partitioned_table_is_analyzed_after_its_partitions(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [
        table("all", oid=5, partitioned=True, changed=50_000),
        table("part", oid=6, part_of=[5], dead=50_000, changed=50_000),
    ]
    result, timeline = await run(working, client, world)
    assert [(each.table, each.analyze_only) for each in world.done("postgres.vacuum")] == [
        ("part", False),
        ("all", True),
    ]
    assert "analyze public.all: 50,000 rows changed since its statistics were made, nothing but this" in timeline
    world.tables = [table("all", oid=5, partitioned=True), table("part", oid=6, part_of=[5], dead=50_000)]
    result, _ = await run(working, client, world, tables=["all"])
    assert result["vacuumed"] == ["public.all"]
    assert not world.done("postgres.vacuum")[-1].analyze_only


async def test_one_run_does_not_do_all_at_once(working: Working, client: Client) -> None:
    world = BusyDatabase(most_tables=1, most_indexes=1)
    world.tables = [table(f"t{n}", dead=20_000 + n) for n in range(3)]
    world.indexes = [index(f"i{n}", bloat=0.5 + n / 10) for n in range(3)]
    result, timeline = await run(working, client, world)
    assert (result["vacuumed"], result["reindexed"]) == (["public.t2"], ["public.i2"])
    assert "2 more tables wait for the next run (most_tables)" in timeline
    assert "2 more indexes wait for the next run (most_indexes)" in timeline


async def test_what_is_asked_for_is_done_whatever_its_state(working: Working, client: Client) -> None:
    world = BusyDatabase(most_tables=1, most_indexes=1)
    world.tables = [table("a"), table("b")]
    world.indexes = [index("i"), index("j")]
    result, _ = await run(working, client, world, tables=["a", "b"], reindex=["jobs"])
    assert result["vacuumed"] == ["public.a", "public.b"]
    assert result["reindexed"] == ["public.i", "public.j"]


async def test_one_that_fails_keeps_no_other_from_it(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [table("a", dead=30_000), table("b", dead=20_000)]
    world.indexes = [index("i", bloat=0.9), index("j", bloat=0.8)]
    world.refused = {"a", "i"}
    result, timeline = await run(working, client, world)
    assert (result["vacuumed"], result["reindexed"]) == (["public.b"], ["public.j"])
    assert result["failed"] == ["public.a", "public.i"]
    assert [(each.index, each.index_schema) for each in world.done("postgres.stop_work")] == [("", ""), ("i", "public")]
    assert "Refused: it took longer than it may" in timeline


async def test_an_index_that_cannot_be_rebuilt_while_writes_go_on_is_for_people(
    working: Working, client: Client
) -> None:
    world = BusyDatabase()
    world.indexes = [
        index("spans", valid=False, concurrently=False, bloat=None),
        index("new_ccnew", being_built=True, valid=False),
    ]
    result, timeline = await run(working, client, world)
    assert result["reindexed"] == result["dropped"] == []
    assert "public.spans is invalid, and can't be rebuilt while writes go on" in timeline


async def test_what_it_cannot_mend_is_said(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.facts = {"connections": 90, "replicas": [], "checksum_failures": 1}
    result, _ = await run(working, client, world)
    assert result["problems"] == [
        "90 of 100 connections are taken",
        "1 checksum failure: data is damaged, see point-in-time-restore (7.3)",
        "0 of 1 replica stream",
    ]
    (message,) = world.done("slack.post")
    assert "0 of 1 replica stream" in message.text


# -- backups -------------------------------------------------------------------------------------------------


async def test_the_newest_backup_is_checked_where_nobody_has(working: Working, client: Client) -> None:
    world = BusyDatabase()
    running = Backup(backup_id="b3", status="running")
    newest = Backup(backup_id="b2", status="done", ended_at=LONG_AGO)
    world.backups = [running, newest, *world.backups]
    result, timeline = await run(working, client, world)
    assert [each.backup_id for each in world.done("backups.verify")] == ["b2"]
    assert result["backup"] == "b2: verified"
    assert "the newest backup is of" in timeline
    assert not world.done("paging.page")


@pytest.mark.parametrize("none", [True, False])
async def test_a_bad_backup_or_none_pages(working: Working, client: Client, *, none: bool) -> None:
    world = BusyDatabase()
    world.backups = [] if none else [Backup(backup_id="b2", status="done", ended_at=LONG_AGO)]
    world.good = False
    result, _ = await run(working, client, world)
    assert result["backup"] == ("there is none" if none else "b2: NOT GOOD")
    assert len(world.done("paging.page")) == 1


async def test_backups_that_cannot_be_listed_stop_nothing(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [table(dead=20_000)]
    world.down = {"backups.list"}
    result, _ = await run(working, client, world)
    assert (result["backup"], result["vacuumed"]) == ("not known", ["public.jobs"])


# -- long queries --------------------------------------------------------------------------------------------


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


# -- what is refused, before anything changes ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"tables": ["nothing"]}, "InvalidInput: tables: nothing: there is none"),
        ({"reindex": ["spans"]}, "InvalidInput: reindex: public.spans can't be rebuilt while writes go on"),
        ({"end": [99]}, "InvalidInput: end: there is no session 99 of this database"),
        ({"end": [15]}, "InvalidInput: end: 15 is a walsender: never ended by a run"),
        ({"service": "other"}, "InvalidInput: service: 'other' is not in the catalogue"),
    ],
)
async def test_what_the_request_cannot_mean(
    working: Working, client: Client, fields: dict[str, Any], says: str
) -> None:
    world = BusyDatabase()
    world.tables = [table(dead=50_000)]
    world.indexes = [index("spans", concurrently=False)]
    world.sessions = [session(15, backend_type="walsender")]
    world.unknown = ["tables: nothing"] if "tables" in fields else []
    failure, _ = await fails(working, client, world, **fields)
    assert failure.startswith(says)
    assert world.effects == []


async def test_a_service_without_a_database(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.service = world.service.model_copy(update={"database": None})
    failure, _ = await fails(working, client, world)
    assert failure.startswith("InvalidInput: service: settings name no database of tensafe-server")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"facts": {"in_recovery": True}}, "Refused: the service is pointed at primary, which is a replica"),
        ({"pointed": None}, "Refused: the service's Secret tensafe-database has none of the servers' URLs"),
        ({"held": {SECRET: "point-in-time-restore/x"}}, "Refused: point-in-time-restore/x changes where the data"),
        ({"down": {"postgres.health"}}, "Unavailable: postgres.health did not answer"),
    ],
)
async def test_a_database_that_cannot_be_maintained(
    working: Working, client: Client, change: dict[str, Any], says: str
) -> None:
    world = BusyDatabase()
    for name, value in change.items():
        setattr(world, name, value)
    failure, timeline = await fails(working, client, world)
    assert failure.startswith(says)
    assert world.effects == []
    assert ("runbooks start database-failover" in timeline) == ("down" in change)


async def test_only_those_may_decide_who_settings_say(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.approvals = ApprovalPolicy(allow_unsigned=True, roles={"database": ("dba",)})
    world.sessions = [session(11)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await waiting_for(handle, "decide end-1")
        with pytest.raises(Exception, match="update"):
            await handle.execute_update("decide", Decision(who="x", role="csm", question="end-1", choice="11"))
        await decides(handle, "end-1", "leave")
        await handle.result()
    assert pids(world) == []


# -- plan, cancel --------------------------------------------------------------------------------------------


async def test_plan_mode_changes_nothing_and_asks_nobody(working: Working, client: Client) -> None:
    world = BusyDatabase()
    world.tables = [table(dead=50_000)]
    world.indexes = [index(bloat=0.9), index("x_ccnew", valid=False, leftover=True)]
    world.sessions = [session(11)]
    world.backups = [Backup(backup_id="b2", status="done", ended_at=LONG_AGO)]
    result, timeline = await run(working, client, world, dry_run=True)
    assert world.effects == []
    assert result["vacuumed"] == result["reindexed"] == result["dropped"] == []
    assert len(result["needed"]) == 3
    for would in ("would: jobs: vacuumed", "would ask which of 1", "would check backup b2"):
        assert would in timeline


@pytest.mark.parametrize("slow", ["a", "i"])
async def test_a_cancelled_run_leaves_nothing_at_work(working: Working, client: Client, slow: str) -> None:
    world = BusyDatabase()
    world.tables = [table("a", dead=50_000), table("b", dead=20_000)]
    world.indexes = [index("i", bloat=0.9)]
    world.slow = slow
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await until(handle, lambda status: world.at_work)
        await cancel(handle, beside=1)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        status = await handle.query("status")
    assert isinstance(failed.value.cause, CancelledError)
    assert status["outcome"] == "cancelled"
    (stopped,) = world.done("postgres.stop_work")
    assert stopped.work.endswith("/vacuum" if slow == "a" else "/reindex")
    assert stopped.index == ("" if slow == "a" else "i")
    assert not world.at_work
    assert len(world.done("postgres.vacuum")) == (0 if slow == "a" else 2)
