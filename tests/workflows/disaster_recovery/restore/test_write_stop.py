"""Writes are stopped, and who could write all the same is shown."""

from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import NAME, decides, refused, request
from tests.workflows.steering import begin, waiting_for
from tests.workflows.worlds.damaged import DamagedWorld


async def test_who_could_write_all_the_same_is_shown(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.may_write = ["superuser root"]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        status = await waiting_for(handle, "decide switch")
        await decides(handle, "switch", "keep")
        await handle.result()
    assert "Could write meanwhile: superuser root" in status.questions[0].evidence
    assert world.as_before()


async def test_somebody_whom_a_person_lets_in_meanwhile_is_a_doubt(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.let_in_by_hand = ["cron"]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        status = await waiting_for(handle, "decide switch")
        await decides(handle, "switch", "keep")
        await handle.result()
    assert "somebody has let cron in again" in str(status.questions[0].evidence)
    assert status.questions[0].recommended is None


async def test_sessions_are_ended_where_the_database_can_not_be_closed(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.refusing = {"writers.stop"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        status = await waiting_for(handle, "decide switch")
        world.refusing = set()
        await decides(handle, "switch", "keep")
        await handle.result()
    assert len(world.done("sessions.end")) == 1
    assert "it could not be seen that nobody writes" in str(status.questions[0].evidence)
    assert world.as_before()


async def test_a_database_that_another_run_has_closed_is_left_alone(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.closed_by = "another-restore has stopped the writers"
    async with working(world.activities()) as queue:
        assert "another-restore" in await refused(client, queue, request())
    assert not world.done("backups.restore")
    assert not world.done("writers.let_in")
    assert world.as_before()
