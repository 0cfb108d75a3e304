"""What a restore (7.3) refuses before anything is changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client

from activities.database.backups.system import Backup
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import NAME, TARGET, decides, refused, request
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.damaged import LONG_AGO, DamagedWorld
from tests.workflows.worlds.pointed import SECRET


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"target_time": (datetime.now(UTC) + timedelta(days=9999)).isoformat()}, "lies in the future"),
        ({"target_time": (LONG_AGO - timedelta(hours=1)).isoformat()}, "before the end of the first backup"),
        ({"target_time": "2026-02-04T12:00:00"}, "with its time zone, e.g. 2026-02-04T12:00:00+00:00"),
        ({"target_time": "2026-02-04 12:00:00 Europe/Nowhere"}, "with its time zone"),
        ({"target_time": "2026-02-04T12:00:00+25:00"}, "with its time zone"),
        ({"target_time": "2026-02-04"}, "with its time zone"),
        ({"target_time": 1770206400}, "with its time zone"),
        ({"target_time": "yesterday"}, "not a time"),
        ({"backup_id": "b9"}, "there is no such backup"),
        ({"backup_id": "b2"}, "has not been found good"),
        ({"backup_id": "b2", "target_time": (LONG_AGO + timedelta(hours=1)).isoformat()}, "can't lead to the target"),
        ({"accept_unverified": True}, "name the backup_id"),
        ({"replicas": 0}, "replicas"),
        ({"service": "nobody"}, "not in the catalogue"),
    ],
)
async def test_bad_input_is_refused_and_nothing_is_changed(
    working: Working, client: Client, fields: dict[str, Any], says: str
) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        assert says in await refused(client, queue, {"target_time": TARGET.isoformat(), **fields})
    assert not world.effects
    assert world.as_before()


async def test_a_tablespace_without_a_place_is_refused_before_writes_are_stopped(
    working: Working, client: Client
) -> None:
    world = DamagedWorld()
    world.backups = [
        one.model_copy(update={"tablespaces": ["archive"], "unplaced": {"spare-1": ["archive"]}})
        for one in world.backups
    ]
    async with working(world.activities()) as queue:
        assert "set servers.spare-1.tablespaces" in await refused(client, queue, request())
    assert not world.effects


async def test_a_gap_in_the_log_is_refused_before_writes_are_stopped(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.gap = "000000010000000000000007 is missing"
    async with working(world.activities()) as queue:
        assert "is missing" in await refused(client, queue, request())
    assert not world.effects


@pytest.mark.parametrize(
    ("prepare", "says"),
    [
        (lambda world: world.held.update({SECRET: "another"}), "another changes where the data"),
        (lambda world: setattr(world, "pointed", None), "none of the servers' URLs"),
        (
            lambda world: world.held.update({f"{SECRET}-spare-1": "x", f"{SECRET}-spare-2": "y"}),
            "no spare server to restore into",
        ),
        (lambda world: setattr(world, "backups", []), "no backup to restore from"),
        (
            lambda world: setattr(world, "backups", [Backup(backup_id="r", status="running")]),
            "no backup to restore from",
        ),
    ],
)
async def test_what_can_not_be_is_refused_and_nothing_is_changed(
    working: Working, client: Client, prepare: Any, says: str
) -> None:
    world = DamagedWorld()
    prepare(world)
    async with working(world.activities()) as queue:
        assert says in await refused(client, queue, request())
    assert not world.effects


async def test_a_kept_copy_is_not_restored_over(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.held[f"{SECRET}-spare-1"] = "an earlier restore"
    world.rows["spare-2"] = world.rows["spare-1"]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        await handle.result()
    assert world.pointed == "spare-2"


async def test_of_two_restores_the_second_is_refused(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        first = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await waiting_for(first, "decide switch")
        assert "changes where the data" in await refused(client, queue, request())
        await decides(first, "switch", "switch")
        assert (await first.result())["outcome"] == "restored"


async def test_an_autoscaler_that_another_run_holds_is_left_to_it(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.paused_by = "another/run"
    async with working(world.activities()) as queue:
        assert "held by another run" in await refused(client, queue, request())
    assert (world.replicas, world.paused_by, world.held) == (3, "another/run", {})
    assert not world.done("kubernetes.scale")
