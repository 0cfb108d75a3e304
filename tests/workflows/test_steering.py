"""What waits for a run in vain says what it waited for, before the limit of the whole test cuts it off."""

import pytest
from temporalio.client import Client

from tests.workflows.conftest import Working
from tests.workflows.steering import Handle, begin, comes, status_of, until
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Request


async def alone(client: Client, queue: str) -> Handle:
    return await begin(client, queue, P1Request(title="x"), "p1_incident")


async def test_a_run_without_a_worker_is_named(client: Client) -> None:
    handle = await alone(client, "nobody")
    with pytest.raises(pytest.fail.Exception, match=f"{handle.id} has not told its status in 1 s"):
        await status_of(handle, within=1)
    await handle.terminate()


async def test_what_a_run_never_reaches_is_told_with_its_status(working: Working, client: Client) -> None:
    async with working(World().activities()) as queue:
        handle = await alone(client, queue)
        with pytest.raises(pytest.fail.Exception, match=f"{handle.id} never reached that: "):
            await until(handle, lambda _: False, within=2)
        await handle.terminate()


async def test_what_never_comes_is_named() -> None:
    with pytest.raises(pytest.fail.Exception, match="never came: the moon"):
        await comes(lambda: False, "the moon", within=0)
