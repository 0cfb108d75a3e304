"""Words to a P2: a person raises or closes it."""

import pytest
from temporalio.client import Client, WorkflowUpdateFailedError

from tests.workflows.conftest import Working
from tests.workflows.incident_response.p2.runs import ADA, NAME, REQUEST, outcome
from tests.workflows.steering import begin, quiet, until
from tests.workflows.worlds.degraded import Degraded
from workflows.incident_response.incident_words import Closing, Raise
from workflows.shared.continued import (
    p1_run_id,
)


async def test_a_person_raises_it_while_it_is_watched(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("raise", Raise(who="eve", role="intern", reason="I think so"))
        await handle.execute_update("raise", Raise(**ADA, reason="orders are lost"))
        result = await outcome(handle)
        p1 = client.get_workflow_handle(p1_run_id("tensafe-server"))
        await until(p1, lambda status: status.phase != "")
        await quiet(p1)
        await p1.terminate()
    assert (result.outcome, result.resolution) == ("raised", "orders are lost")


async def test_a_person_closes_it(working: Working, client: Client) -> None:
    world = Degraded()
    world.watching = True
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda _: world.watches == 1)
        await handle.execute_update("close", Closing(**ADA, resolution="Load test ended", root_cause="Load test"))
        result = await outcome(handle)
    assert (result.outcome, result.resolution) == ("closed", "Load test ended")
    assert len(world.done("autoscalers.release")) == 1
