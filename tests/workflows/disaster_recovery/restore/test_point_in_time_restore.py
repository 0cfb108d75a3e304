"""PointInTimeRestore with the time-skipping server: as it should go, from which backup, and as a plan."""

from datetime import timedelta

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.restore.restores import NAME, TARGET, decides, refused, request
from tests.workflows.steering import begin, told, waiting_for
from tests.workflows.worlds.damaged import DamagedWorld
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestoreRequest


async def test_a_restore_goes_as_the_runbook_says(working: Working, client: Client) -> None:
    world = DamagedWorld()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request(), NAME)
        await decides(handle, "switch", "switch")
        result = await handle.result()
        ran = await handle.describe()
    assert world.names() == [
        "autoscalers.hold",
        "kubernetes.scale",
        "writers.stop",
        "backups.seal",
        "backups.verify",
        "backups.restore",
        "database_hosts.fence",
        "writers.let_in",
        "database_secrets.point",
        "kubernetes.scale",
        "autoscalers.release",
        "backups.follow",
        "backups.create",
    ]
    assert [scale.replicas for scale in world.done("kubernetes.scale")] == [0, 3]
    (opened,) = world.done("writers.let_in")
    assert (opened.server, opened.anybodys) == ("spare-1", True), "also of a stop that was in force at the target"
    assert world.closed == {"primary"}, "the damaged copy is fenced, and stays closed"
    (restore,) = world.done("backups.restore")
    assert (restore.backup_id, restore.target, restore.into) == ("b2", TARGET, "spare-1")
    assert (world.pointed, world.fenced, world.damaged_there) == ("spare-1", ["primary"], True)
    assert (result["outcome"], result["server"], result["damaged_copy"]) == ("restored", "spare-1", "primary")
    assert result["changed"] == [
        {"table": "public.events", "before": None, "after": 90},
        {"table": "public.jobs", "before": 3, "after": 2},
    ]
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


async def test_a_primary_that_is_dead_keeps_nothing_from_being_restored(working: Working, client: Client) -> None:
    world = DamagedWorld()
    world.refusing = {
        "backups.seal",
        "integrity.check.primary",
        "integrity.contents.primary",
        "writers.stop",
        "sessions.end",
    }
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
