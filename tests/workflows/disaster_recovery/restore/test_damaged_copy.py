"""The damaged copy is kept until a word or its time, and discarded only as what it was."""

from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import DORA, NAME, decides, kept, request
from tests.workflows.steering import begin
from tests.workflows.worlds.damaged import DamagedWorld
from tests.workflows.worlds.pointed import SECRET
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestore
from workflows.platform.lease import Extend, Resume


async def test_the_damaged_copy_is_discarded_only_on_a_word(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        await kept(handle)
        await handle.execute_update(PointInTimeRestore.resume, Resume(**DORA, reason="analysed"))
        await decides(handle, "damaged-copy", "discard")
        result = await handle.result()
    assert not world.damaged_there
    assert result["damaged_copy"] == ""


@pytest.mark.parametrize("since", ["pointed at it", "runs again", "unreadable"])
async def test_a_copy_that_has_become_somebodys_is_not_discarded(working: Working, client: Client, since: str) -> None:
    """Weeks go by: another run or a person may have made the server something else."""
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        await kept(handle)
        if since == "pointed at it":
            world.pointed = "primary"
        elif since == "runs again":
            world.fenced.clear()
        else:
            world.refusing.add("database_secrets.pointed_at")
        await handle.execute_update(PointInTimeRestore.resume, Resume(**DORA, reason="analysed"))
        await decides(handle, "damaged-copy", "discard")
        result = await handle.result()
    assert world.damaged_there
    assert not world.done("database_hosts.discard")
    assert result["damaged_copy"] == "primary"
    assert any("is not discarded: " in page.summary for page in world.done("paging.page"))


async def test_a_copy_on_a_spare_server_is_marked_until_it_is_discarded(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.pointed, world.rows = "spare-1", {"spare-1": world.rows["primary"], "spare-2": world.rows["spare-1"]}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        await kept(handle)
        assert (world.pointed, world.held) == ("spare-2", {f"{SECRET}-spare-1": handle.id})
        marks = world.done("database_secrets.hold")
        await handle.execute_update(PointInTimeRestore.extend, Extend(**DORA, by=timedelta(days=7)))
        extended = world.done("database_secrets.hold")
        assert extended[-1].until - marks[-1].until == timedelta(days=7)
        await handle.execute_update(PointInTimeRestore.resume, Resume(**DORA, reason="analysed"))
        await decides(handle, "damaged-copy", "discard")
        await handle.result()
    assert [request.server for request in world.done("database_hosts.discard")] == ["spare-1"]
    assert not world.held


@pytest.mark.parametrize(
    ("word", "says"),
    [
        (Extend(**DORA, by=timedelta(days=99)), "may be extended by"),
        (Extend(who="eve", role="intern", by=timedelta(days=1)), "may not restore"),
    ],
)
async def test_an_extension_that_may_not_be_is_refused(
    working: Working, client: Client, word: Extend, says: str
) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        await kept(handle)
        with pytest.raises(WorkflowUpdateFailedError) as failed:
            await handle.execute_update(PointInTimeRestore.extend, word)
        assert says in str(failed.value.cause)
        await handle.execute_update(PointInTimeRestore.resume, Resume(**DORA))
        await handle.result()
    assert world.damaged_there
