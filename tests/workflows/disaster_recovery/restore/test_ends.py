"""How a restore (7.3) ends: back on the data as it was, or forward; and what becomes of the damaged copy."""

from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import CancelledError

from activities.catalogue.workloads import WorkloadPolicy
from activities.database.replication.slots import LogicalSlot
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import NAME, decides, refused, request
from tests.workflows.steering import begin, cancel, waiting_for
from tests.workflows.worlds.damaged import DamagedWorld
from tests.workflows.worlds.pointed import another


@pytest.mark.parametrize("choice", ["switch", "keep"])
async def test_all_that_uses_the_database_is_stopped_and_given_back(
    working: Working, client: Client, choice: str
) -> None:
    world = DamagedWorld()
    others = (WorkloadPolicy(kind="CronJob", name="nightly"), WorkloadPolicy(kind="StatefulSet", name="queue"))
    world.service = world.service.model_copy(update={"workloads": others})
    world.others = {"billing": another("billing", "primary", "spare-1", poolers=["front", "back"])}
    world.deaf_poolers = {"back"}
    world.jobs = {"cronjob/nightly": "job/nightly-29 still running"}
    world.slots = [LogicalSlot(name="search", plugin="pgoutput", active=True, failover=False, synced=False)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(service="tensafe-server", forensics=timedelta(0)), NAME)
        status = await waiting_for(handle, "decide switch")
        assert sorted(world.stopped) == ["cronjob/nightly", "deployment/billing", "statefulset/queue"]
        assert world.poolers == {"front": "paused"}
        await decides(handle, "switch", choice, "the job only reads")
        await handle.result()
    evidence = "\n".join(status.questions[0].evidence)
    assert "job/nightly-29 still running" in evidence
    assert "billing uses this database too: it is pointed at spare-1 as well" in evidence
    assert "Pooler front: its clients are sent to spare-1" in evidence
    assert world.poolers == {"front": "spare-1" if choice == "switch" else "primary"}
    assert any("clients of pooler back are not sent" in one.summary for one in world.done("paging.page"))
    assert "Logical slots that spare-1 will not have: search (in use)" in evidence
    assert status.questions[0].recommended is None
    assert world.also_pointed == ({"billing-database": "spare-1"} if choice == "switch" else {})
    assert not world.stopped
    assert not world.held


async def test_nobodys_answer_brings_the_service_back(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(replicas=9), NAME)
        result = await handle.result()
    assert result["outcome"] == "declined"
    assert result["server"] == "primary"
    assert world.as_before()
    assert len(world.done("paging.page")) >= 1
    assert not world.done("mail.send")


async def test_a_refusal_brings_the_service_back(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "keep")
        assert (await handle.result())["outcome"] == "declined"
    assert world.as_before()
    assert [request.server for request in world.done("database_hosts.discard")] == ["spare-1"]


@pytest.mark.parametrize(
    "what",
    [
        "kubernetes.scale",
        "backups.verify",
        "backups.reach",
        "backups.restore",
        "integrity.check.spare-1",
        "integrity.contents.spare-1",
    ],
)
async def test_a_failure_before_the_switch_brings_the_service_back(working: Working, client: Client, what: str) -> None:
    world = DamagedWorld()
    if what == "backups.reach":
        world.gap_behind_the_seal = "the archive has lost a file"
    elif what == "kubernetes.scale":
        world.refuse_scaling_to_zero = True
    else:
        world.down.add(what)
    async with working(world.activities()) as queue:
        await refused(client, queue, request())
        assert world.as_before()
    assert world.replicas == 3


async def test_a_cancelled_run_brings_the_service_back(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await waiting_for(handle, "decide switch")
        await cancel(handle)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, CancelledError)
    assert world.as_before()
