"""AddGpuNode with the time-skipping server: one node more, within bounds, and back only by a person's word."""

from datetime import UTC, datetime

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.records.alerts import Alert
from tests.workflows.conftest import Working
from tests.workflows.steering import begin, cause, waiting_for
from tests.workflows.worlds.platform import Platform
from workflows.platform.approval import Decision
from workflows.scaling.add_gpu_node import AddGpuNode, AddGpuNodeRequest

NAME = "add_gpu_node"
ALERT = Alert(
    source="alertmanager", fingerprint="gpu", name="TensafeGpuSaturated", starts_at=datetime(2026, 2, 4, tzinfo=UTC)
)


def put_back(choice: str) -> Decision:
    return Decision(who="ada", role="on-call", question="put-back", choice=choice)


async def test_a_node_joins_and_offers_its_gpus(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, AddGpuNodeRequest(alert=ALERT), NAME)).result()
    assert result["outcome"] == "added"
    assert (result["before"], result["desired"], result["node"], result["gpus"]) == (2, 3, "gpu-3", 4)
    assert len(world.done("node_groups.resize")) == 1


async def test_an_alert_without_sustained_utilisation_adds_none(working: Working, client: Client) -> None:
    world = Platform()
    world.gpu_utilisation = 0.5
    async with working(world.activities()) as queue:
        alerted = await (await begin(client, queue, AddGpuNodeRequest(alert=ALERT), NAME)).result()
        assert alerted["outcome"] == "not needed"
        assert world.effects == []
        by_hand = await (await begin(client, queue, AddGpuNodeRequest(), NAME)).result()
    assert by_hand["outcome"] == "added"


@pytest.mark.parametrize("of_settings", [True, False])
async def test_at_the_maximum_it_fails_and_nothing_changes(
    working: Working, client: Client, *, of_settings: bool
) -> None:
    world = Platform()
    world.desired = 10 if of_settings else 4
    world.maximum = 50 if of_settings else 4
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "at its maximum" in cause(failed.value).message
    assert ("settings" in cause(failed.value).message) == of_settings
    assert world.effects == []


async def test_a_service_without_gpus_is_told_so(working: Working, client: Client) -> None:
    world = Platform(gpu=None)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "runbooks.toml" in cause(failed.value).message


@pytest.mark.parametrize(("choice", "outcome", "desired"), [("put-back", "put back", 2), ("keep", "no node", 3)])
async def test_no_node_in_time_pages_and_asks(
    working: Working, client: Client, choice: str, outcome: str, desired: int
) -> None:
    world = Platform()
    world.node_comes = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(), NAME)
        await waiting_for(handle, "decide put-back")
        assert len(world.done("paging.page")) == 1
        assert world.desired == 3
        await handle.execute_update(AddGpuNode.decide, put_back(choice))
        result = await handle.result()
    assert result["outcome"] == outcome
    assert world.desired == desired


async def test_a_node_that_comes_while_people_are_asked_stays(working: Working, client: Client) -> None:
    world = Platform()
    world.node_comes = False
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, AddGpuNodeRequest(), NAME)
        await waiting_for(handle, "decide put-back")
        world.gpu_nodes.append("gpu-3")
        await handle.execute_update(AddGpuNode.decide, put_back("put-back"))
        result = await handle.result()
    assert (result["outcome"], result["desired"], result["node"]) == ("added", 3, "gpu-3")
    assert (world.desired, len(world.done("node_groups.resize"))) == (3, 1)


async def test_nobody_answering_leaves_the_size_as_it_is(working: Working, client: Client) -> None:
    world = Platform()
    world.node_comes = False
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, AddGpuNodeRequest(), NAME)).result()
    assert result["outcome"] == "no node"
    assert world.desired == 3
    assert len(world.done("paging.page")) == 2


async def test_a_plan_changes_nothing(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, AddGpuNodeRequest(dry_run=True), NAME)).result()
    assert result["outcome"] == "planned"
    assert world.effects == []
