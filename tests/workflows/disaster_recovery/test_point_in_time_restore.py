"""PointInTimeRestore with the time-skipping server: refused in time, decided by a person, and never without writes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError

from activities.backup import Backup
from activities.contents import CheckResult
from activities.integrity_checks import Damage
from tests.workflows.conftest import Working
from tests.workflows.damaged import BETWEEN, LONG_AGO, DamagedWorld
from tests.workflows.pointed import SECRET
from tests.workflows.steering import Handle, begin, cancel, cause, told, until, waiting_for
from workflows.disaster_recovery.point_in_time_restore import PointInTimeRestore, PointInTimeRestoreRequest
from workflows.shared.approval import Decision
from workflows.shared.lease import Extend, Resume

DORA = {"who": "dora", "role": "dba"}
NAME = "point_in_time_restore"
TARGET = BETWEEN


def request(**fields: Any) -> PointInTimeRestoreRequest:
    return PointInTimeRestoreRequest.model_validate({"target_time": TARGET, **fields})


async def decides(handle: Handle, question: str, choice: str, reason: str = "") -> None:
    await waiting_for(handle, f"decide {question}")
    word = Decision(**DORA, question=question, choice=choice, reason=reason)
    await handle.execute_update(PointInTimeRestore.decide, word)


async def refused(client: Client, queue: str, asked: Any) -> str:
    handle = await client.start_workflow("PointInTimeRestore", asked, id=f"{NAME}-{id(asked)}", task_queue=queue)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    return cause(failed.value).message


async def kept(handle: Handle) -> None:
    await until(handle, lambda status: status.phase == "Damaged copy kept")


# -- as it should go ---------------------------------------------------------------------------------------


async def test_a_restore_goes_as_the_runbook_says(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
        ran = await handle.describe()
    assert world.names() == [
        "autoscalers.hold", "kubernetes.scale", "sessions.end", "backups.seal", "backups.verify", "backups.restore",
        "database_hosts.fence", "database_secrets.point", "kubernetes.scale", "autoscalers.release",
        "backups.follow", "backups.create",
    ]  # fmt: skip
    assert [scale.replicas for scale in world.done("kubernetes.scale")] == [0, 3]
    (restore,) = world.done("backups.restore")
    assert (restore.backup_id, restore.target, restore.into) == ("b2", TARGET, "spare-1")
    assert (world.pointed, world.fenced, world.damaged_there) == ("spare-1", ["primary"], True)
    assert (result["outcome"], result["server"], result["damaged_copy"]) == ("restored", "spare-1", "primary")
    assert result["changed"] == [
        {"table": "public.events", "before": None, "after": 90}, {"table": "public.jobs", "before": 3, "after": 2},
    ]  # fmt: skip
    assert ran.close_time is not None
    assert ran.close_time - ran.start_time >= timedelta(days=14)


async def test_what_is_decided_is_shown(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        status = await waiting_for(handle, "decide switch")
        evidence = "\n".join(status.questions[0].evidence)
        await decides(handle, "switch", "keep")
        await handle.result()
    for shown in ("b2", "Lost: ", "public.events: ? → 90 rows", "public.jobs: 3 → 2 rows", "1 damaged (events)"):
        assert shown in evidence
    assert status.questions[0].recommended == "switch"
    assert "public.jobs: 3 → 2 rows" in status.board


async def test_customers_who_used_it_since_are_told_once_each(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0), message="Please look."), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    mails = world.done("mail.send")
    assert sorted(mail.to for mail in mails) == ["it@acme.example", "it@initech.example"]
    assert {mail.template for mail in mails} == {"data_restored"}
    assert mails[0].values["message"] == "Please look."
    assert f"{TARGET:%Y-%m-%d %H:%M:%S}" in mails[0].values["since"]
    assert result["customers_told"] == 2
    assert [update.status for update in world.done("statuspage.update")] == ["Investigating", "Resolved"]


async def test_nobody_is_written_to_where_that_is_not_wanted(working: Working, client: Client) -> None:
    world = DamagedWorld(notify_customers=False)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        await handle.result()
    assert not world.done("mail.send")


@pytest.mark.parametrize(("asked", "settings", "expected"), [(7, 5, 7), (None, 5, 5), (None, None, 3)])
async def test_the_service_comes_back_with_the_replicas_that_were_asked_for(
    working: Working, client: Client, asked: int | None, settings: int | None, expected: int
) -> None:
    world = DamagedWorld(replicas=settings)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(replicas=asked, forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        await handle.result()
    assert world.replicas == expected


async def test_without_a_target_it_is_the_latest_state(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, PointInTimeRestoreRequest(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    (restore,) = world.done("backups.restore")
    assert restore.target == world.sealed_at
    assert result["lost"] == "PT0S"


# -- a primary that is too damaged --------------------------------------------------------------------------


async def test_a_primary_that_is_dead_keeps_nothing_from_being_restored(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.refusing = {"backups.seal", "integrity.check.primary", "integrity.contents.primary", "sessions.end"}
    world.answers = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, PointInTimeRestoreRequest(forensics=timedelta(0)), NAME)
        status = await waiting_for(handle, "decide switch")
        assert status.questions[0].recommended is None
        assert "it could not be seen that nobody writes" in str(status.questions[0].evidence)
        await decides(handle, "switch", "switch", "it is gone anyway")
        result = await handle.result()
    (restore,) = world.done("backups.restore")
    assert world.latest is not None
    assert restore.target == world.latest - timedelta(microseconds=1)
    assert result["outcome"] == "restored"


async def test_a_target_that_only_a_dead_primary_knows_is_refused(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.answers = False
    world.latest = TARGET - timedelta(hours=1)
    async with working(world.activities()) as queue:
        says = await refused(client, queue, request())
    assert "the archived log reaches" in says
    assert world.as_before()
    assert not world.effects


# -- which backup ------------------------------------------------------------------------------------------


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


# -- refused before anything changes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"target_time": (datetime.now(UTC) + timedelta(days=9)).isoformat()}, "lies in the future"),
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


@pytest.mark.parametrize("what", ["kubernetes.scale", "backups.verify", "backups.reach", "backups.restore",
                                  "integrity.check.spare-1", "integrity.contents.spare-1"])  # fmt: skip
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
        assert "is not fenced" in str(world.done("paging.page"))
        world.down.clear()
        result = await handle.result()
    assert result["outcome"] == "restored"
    assert world.fenced == ["primary"]


async def test_an_unhealthy_service_afterwards_is_escalated(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.healthy = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(forensics=timedelta(0)), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
    assert not result["healthy"]
    assert world.done("paging.page")


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


# -- plan ------------------------------------------------------------------------------------------------------


async def test_a_plan_says_what_it_would_do_and_does_nothing(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(dry_run=True), NAME)
        result = await handle.result()
        timeline = await told(handle)
    assert result["outcome"] == "planned"
    assert not world.effects
    assert world.as_before()
    assert "would restore b2" in timeline
    assert "would fence primary, point the service at spare-1, and scale to 3" in timeline
