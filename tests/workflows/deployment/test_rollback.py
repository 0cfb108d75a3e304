"""Rollback with the time-skipping server: to the last good release, or to the one that is named."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.workflows.conftest import Working
from tests.workflows.steering import begin, cause
from tests.workflows.worlds.platform import BAD, GOOD, Platform, image
from workflows.deployment.rollback import RollbackRequest

NAME = "rollback"


def released_by_helm(world: Platform) -> Platform:
    world.releases = [(1, "superseded", GOOD), (2, "deployed", BAD)]
    return patched(world)


def patched(world: Platform) -> Platform:
    world.images = {1: image(GOOD), 2: image(BAD)}
    world.revision, world.healthy = 2, False
    return world


async def test_what_helm_released_goes_back_by_helm(working: Working, client: Client) -> None:
    world = released_by_helm(Platform())
    async with working(world.activities()) as queue:
        request = RollbackRequest(reason="Error rate spiked to 5%")
        result = await (await begin(client, queue, request, NAME)).result()
    assert (result["from_version"], result["to_version"], result["by"], result["healthy"]) == (BAD, GOOD, "helm", True)
    (record,) = world.done("records.record_deployment")
    assert (record.version, record.status) == (BAD, "rolled_back")
    assert f"{BAD} → {GOOD}: Error rate spiked to 5%" in record.reason
    assert len(world.done("evidence.collect_logs")) == 1


async def test_what_went_out_beside_helm_is_undone(working: Working, client: Client) -> None:
    world = patched(Platform())
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, RollbackRequest(), NAME)).result()
    assert result["by"] == "rollout undo"
    (undone,) = world.done("kubernetes.undo_rollout")
    assert (undone.from_revision, undone.to_revision) == (2, 1)


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (RollbackRequest(to_revision=7), "has no revision 7; it has: 1, 2"),
        (RollbackRequest(to_revision=2), "is the current revision"),
        (RollbackRequest(helm_revision=7), "has no revision 7; it has: 1, 2"),
        (RollbackRequest(helm_revision=2), "is the current revision"),
    ],
)
async def test_a_revision_that_is_not_there_is_refused(
    working: Working, client: Client, request_: RollbackRequest, says: str
) -> None:
    world = released_by_helm(Platform())
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, request_, NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert says in cause(failed.value).message
    assert world.effects == []


async def test_a_service_that_a_run_keeps_stopped_is_not_rolled_back(working: Working, client: Client) -> None:
    world = released_by_helm(Platform())
    world.stopped_by = "point-in-time-restore/x"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, RollbackRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "is kept without replicas by point-in-time-restore/x until 2026-02-05" in cause(failed.value).message
    assert world.effects == []


async def test_without_an_earlier_release_there_is_nothing_to_go_back_to(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, RollbackRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "no earlier" in cause(failed.value).message


async def test_a_rollback_that_does_not_help_pages(working: Working, client: Client) -> None:
    world = released_by_helm(Platform())
    world.bad_versions = {GOOD}
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, RollbackRequest(), NAME)).result()
    assert not result["healthy"]
    assert len(world.done("paging.page")) == 1


async def test_a_plan_changes_nothing(working: Working, client: Client) -> None:
    world = released_by_helm(Platform())
    async with working(world.activities()) as queue:
        await (await begin(client, queue, RollbackRequest(dry_run=True), NAME)).result()
    assert world.effects == []


async def test_what_somebody_has_undone_beside_helm_is_recorded_as_what_helm_released(
    working: Working, client: Client
) -> None:
    world = released_by_helm(Platform())
    world.images[3], world.revision = image(GOOD), 3
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, RollbackRequest(helm_revision=1), NAME)).result()
    assert (result["from_version"], result["to_version"]) == (BAD, GOOD)
    assert world.done("records.record_deployment")[0].version == BAD
