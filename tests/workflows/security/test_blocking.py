"""What addresses a security incident blocks, by whose word, and when it gives them back."""

from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from activities.catalogue.security import BlockPolicy
from tests.workflows.conftest import Working
from tests.workflows.security.blocked import NAME, asked, says
from tests.workflows.steering import begin, told
from tests.workflows.worlds.breached import Breached
from workflows.security.security_incident import SecurityIncidentRequest

POLICY = BlockPolicy(never=("8.8.4.0/24",), ingresses=("web",), lasting=timedelta(hours=6))
REQUEST = SecurityIncidentRequest(nodes=["node-a"], block=["8.8.8.8", "2001:4860:4860::/64"])


async def test_two_people_block_for_a_time_and_the_run_gives_back(working: Working, client: Client) -> None:
    world = Breached(blocks=POLICY)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await asked(handle, "block")
        await says(handle, "ada", "block", "for-a-time")
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await says(handle, "ada", "block", "for-a-time")
        assert "second person" in str(refused.value.cause)
        assert world.done("blocks.block") == []
        await says(handle, "bob", "block", "for-a-time")
        result = await handle.result()  # the legal clocks run for longer
    (request,) = world.done("blocks.block")
    assert request.addresses == ["8.8.8.8/32", "2001:4860:4860::/64"]
    (given_back,) = world.done("blocks.unblock")
    assert given_back.incident_id == request.incident_id
    assert all(what.startswith("blocked until") for what in result["addresses"].values())


async def test_for_good_is_not_given_back(working: Working, client: Client) -> None:
    world = Breached(blocks=POLICY)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await asked(handle, "block")
        await says(handle, "ada", "block", "for-good")
        await says(handle, "bob", "block", "for-good")
        result = await handle.result()
    assert world.done("blocks.block")[0].until is None
    assert world.done("blocks.unblock") == []
    assert set(result["addresses"].values()) == {"blocked for good"}


async def test_a_run_that_ends_before_leaves_it_to_the_sweep(working: Working, client: Client) -> None:
    world = Breached(blocks=POLICY)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await asked(handle, "block")
        for who in ("ada", "bob"):
            await says(handle, who, "block", "for-a-time")
        await asked(handle, "drain-1")
        await says(handle, "ada", "drain-1", "leave")
        await asked(handle, "return")
        await asked(handle, "legal")
        await says(handle, "ada", "legal", "none")
        await says(handle, "ada", "return", "leave")
        await handle.result()
    assert world.done("blocks.block")[0].until is not None
    assert world.done("blocks.unblock") == []


async def test_what_must_never_be_blocked_is_not_offered(working: Working, client: Client) -> None:
    world = Breached(blocks=POLICY)
    world.never = {"8.8.8.8/32": "it is the service's own"}
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        question = await asked(handle, "block")
        assert "8.8.8.8" not in question.title
        assert "8.8.8.8/32 stays: it is the service's own" in question.evidence
        await says(handle, "ada", "block", "none")
        result = await handle.result()
    assert world.done("blocks.block") == []
    assert result["addresses"]["8.8.8.8/32"] == "not blocked: it is the service's own"


async def test_nobody_answering_blocks_nothing(working: Working, client: Client) -> None:
    world = Breached(blocks=POLICY)
    async with working(world.activities()) as queue:
        await (await begin(client, queue, REQUEST, NAME)).result()
    assert world.done("blocks.block") == []


async def test_what_can_not_be_read_blocks_nothing(working: Working, client: Client) -> None:
    world = Breached(blocks=POLICY)
    world.down = {"blocks"}
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, REQUEST, NAME)).result()
    assert world.done("blocks.block") == []
    assert "can't be read" in result["addresses"]["8.8.8.8/32"]


async def test_a_plan_says_whom_it_would_ask(working: Working, client: Client) -> None:
    world = Breached(blocks=POLICY)
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST.model_copy(update={"dry_run": True}), NAME)
        await handle.result()
        assert "would ask two persons whether to block" in await told(handle)
    assert world.effects == []


@pytest.mark.parametrize("block", [["nonsense"], ["8.8.8.8/8"], ["8.8.8.8", "8.8.8.8/32"]])
def test_addresses_that_can_not_be_meant(block: list[str]) -> None:
    with pytest.raises(ValueError, match=r"block|twice"):
        SecurityIncidentRequest(block=block)
