"""DatabaseMaintenance decides: only what is needed, only what is there, and nobody ended without a person's word."""

from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import CancelledError

from activities.catalogue.service import ApprovalPolicy
from activities.database.backups.system import Backup
from tests.workflows.conftest import Working
from tests.workflows.maintenance.databases import NAME, decides, fails, pids, request, run
from tests.workflows.steering import begin, cancel, until, waiting_for
from tests.workflows.worlds.busy_database import LONG_AGO, BusyDatabase, index, session, table
from tests.workflows.worlds.pointed import SECRET
from workflows.platform.approval import Decision


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
