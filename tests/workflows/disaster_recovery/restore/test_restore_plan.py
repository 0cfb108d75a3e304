"""Which backup is restored, and to which time."""

from datetime import timedelta

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import NAME, decides, refused, request
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.damaged import DamagedWorld
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestoreRequest


async def test_without_a_target_it_is_the_latest_state(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, PointInTimeRestoreRequest(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    (restore,) = world.done("backups.restore")
    assert restore.target == world.sealed_at
    assert result["lost"] == "PT0S"


async def test_a_backup_that_is_not_good_is_passed_over(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.good["b2"] = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    assert result["backup_id"] == "b1"


async def test_no_good_backup_brings_the_service_back(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.good["b2"] = False
    world.backups = world.backups[:1]
    async with working(world.activities()) as queue:
        assert "none of the backups" in await refused(client, queue, request())
    assert world.as_before()
    assert [scale.replicas for scale in world.done("kubernetes.scale")] == [0, 3]


async def test_an_unverified_backup_is_taken_on_a_persons_word_before_anything_changes(
    working: Working, client: Client
) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        asked = request(backup_id="b2", accept_unverified=True, forensics=timedelta(0))
        handle = await begin(client, queue, asked, NAME)
        await waiting_for(handle, "decide unverified")
        assert world.as_before()
        assert not world.names()
        await decides(handle, "unverified", "restore")
        await decides(handle, "switch", "switch")
        result = await handle.result()
    assert result["backup_id"] == "b2"
    assert not world.done("backups.verify")


async def test_an_unverified_backup_without_a_word_changes_nothing(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(backup_id="b2", accept_unverified=True), NAME)
        result = await handle.result()
    assert result["outcome"] == "not approved"
    assert not world.names()
    assert world.as_before()
