"""The newest backup is checked where nobody has, and a bad one pages."""

import pytest
from temporalio.client import Client

from activities.database.backups.system import Backup
from tests.workflows.conftest import Working
from tests.workflows.maintenance.databases import run
from tests.workflows.worlds.busy_database import LONG_AGO, BusyDatabase, table


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
