"""How a restore (7.3) ends: back on the data as it was, or forward; and what becomes of the damaged copy."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError

from activities.catalogue.workloads import WorkloadPolicy
from activities.database.integrity.checks import Damage
from activities.database.integrity.contents import CheckResult
from activities.database.replication.slots import LogicalSlot
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import DORA, NAME, decides, kept, refused, request
from tests.workflows.steering import begin, cancel, comes, until, waiting_for
from tests.workflows.worlds.damaged import DamagedWorld
from tests.workflows.worlds.pointed import SECRET, another
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestore
from workflows.platform.approval import Decision
from workflows.platform.lease import Extend, Resume

# -- all that writes ---------------------------------------------------------------------------------------


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


# -- what those outside are told ----------------------------------------------------------------------------


async def test_nobody_outside_hears_that_it_is_over_before_the_service_is_well(
    working: Working, client: Client
) -> None:
    world = DamagedWorld()
    world.blips = 4
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    published = world.done("statuspage.update")
    assert [update.status for update in published] == ["Investigating", "Monitoring", "Resolved"]
    assert "not available yet" in published[1].message
    order = [name for name, _ in world.effects]
    assert order.index("mail.send") > max(n for n, name in enumerate(order) if name == "statuspage.update")
    assert sorted(mail.to for mail in world.done("mail.send")) == ["it@acme.example", "it@initech.example"]
    assert (result["outcome"], result["healthy"], result["customers_told"]) == ("restored", True, 2)


async def test_a_service_that_stays_unwell_is_left_to_people(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    assert [update.status for update in world.done("statuspage.update")] == ["Investigating", "Monitoring"]
    assert world.done("mail.send") == []
    assert any("tell them by hand" in page.summary for page in world.done("paging.page"))
    assert (result["outcome"], result["healthy"], result["customers_told"]) == ("restored", False, 0)


async def test_cancelling_ends_the_wait_for_a_service_that_is_not_well(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.healthy, world.watched_from = False, 1
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        await kept(handle)
        await until(handle, lambda _: (world.watched_from or 0) < 0)
        await cancel(handle, beside=1)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert [update.status for update in world.done("statuspage.update")] == ["Investigating", "Monitoring"]
    assert any("tell them by hand" in post.text for post in world.done("slack.post"))
    assert world.done("mail.send") == []


async def test_back_on_its_data_and_unwell_it_is_not_called_available(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "keep")
        await handle.result()
    assert [update.status for update in world.done("statuspage.update")] == ["Investigating", "Monitoring"]
    assert any("that entry is yours" in page.summary for page in world.done("paging.page"))


# -- back on the data as it was ----------------------------------------------------------------------------


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


# -- forward, once it is approved ----------------------------------------------------------------------------


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


# -- the damaged copy ----------------------------------------------------------------------------------------


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
