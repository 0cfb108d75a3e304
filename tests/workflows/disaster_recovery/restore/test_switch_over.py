"""The switch is decided with what is known then, and finished once it has begun."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from activities.database.integrity.checks import Damage
from activities.database.integrity.contents import CheckResult
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import DORA, NAME, decides, kept, request
from tests.workflows.steering import begin, cancel, comes, until, waiting_for
from tests.workflows.worlds.damaged import DamagedWorld
from tests.workflows.worlds.pointed import SECRET
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestore
from workflows.platform.approval import Decision


class Meddled(DamagedWorld):
    """Somebody starts the service while its data are restored."""

    def _done(self, name: str, request: Any) -> bool:
        if name == "backups.restore":
            self.replicas = 10
        return super()._done(name, request)


async def test_a_service_that_was_started_meanwhile_is_shown_and_its_pods_are_replaced(
    working: Working, client: Client
) -> None:
    world = Meddled()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        status = await waiting_for(handle, "decide switch")
        assert status.questions[0].recommended is None
        assert "scaled tensafe-server to 10 replicas" in "\n".join(status.questions[0].evidence)
        await decides(handle, "switch", "switch", "what they write is of no use")
        await kept(handle)
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    stop, back = world.done("kubernetes.scale")
    assert (stop.replicas, stop.replaced_at) == (0, None)
    assert stop.stopped_until is not None
    assert (back.replicas, back.stopped_until) == (3, None)
    assert back.replaced_at is not None


async def test_a_damaged_restore_is_not_recommended_and_takes_a_reason(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.restored_damage = [Damage(name="jobs_pkey", kind="index", what="item order invariant violated")]
    world.broken_rules = [CheckResult(name="every job has an adapter", passed=False, detail="is not true")]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        status = await waiting_for(handle, "decide switch")
        assert status.questions[0].recommended is None
        assert "every job has an adapter: is not true" in str(status.questions[0].evidence)
        word = Decision(**DORA, question="switch", choice="switch")
        with pytest.raises(WorkflowUpdateFailedError, match="Workflow update failed"):
            await handle.execute_update(PointInTimeRestore.decide, word)
        await decides(handle, "switch", "keep")
        await handle.result()
    assert world.as_before()


async def test_a_machine_that_can_not_be_fenced_keeps_nobody_without_writes(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.down.add("database_hosts.fence")
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        await until(handle, lambda status: "Mail: data_restored" in str(status.entries))
        assert (world.pointed, world.replicas, world.paused) == ("spare-1", 3, False)
        # Whoever is paged is paged beside all of that.
        await comes(lambda: "is not fenced" in str(world.done("paging.page")), "that somebody is paged")
        world.down.clear()
        result = await handle.result()
    assert result["outcome"] == "restored"
    assert world.fenced == ["primary"]


async def test_a_run_cancelled_behind_the_switch_has_finished_it(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        await kept(handle)
        await cancel(handle)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert (world.pointed, world.replicas, world.paused) == ("spare-1", 3, False)
    assert world.done("backups.create")
    assert world.damaged_there
    assert SECRET not in world.held


@pytest.mark.parametrize("they", ["scale it up", "open the database"])
async def test_who_begins_to_write_while_it_is_decided_is_told_before_the_switch(
    working: Working, client: Client, they: str
) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        first = await waiting_for(handle, "decide switch")
        if they == "scale it up":
            world.replicas = 2
        else:
            world.let_in_by_hand = ["tensafe"]
        await decides(handle, "switch", "switch")
        again = await waiting_for(handle, "decide switch-2")
        assert not world.fenced
        await decides(handle, "switch-2", "switch", "they only look")
        assert (await handle.result())["outcome"] == "restored"
    assert not any("Doubt" in line for line in first.questions[0].evidence)
    assert any("is lost as well" in line for line in again.questions[0].evidence)
    assert (first.questions[0].recommended, again.questions[0].recommended) == ("switch", None)
