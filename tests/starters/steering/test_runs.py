"""Which run a person means: the latest of a workflow ID, one of its runs, and what signatures are bound to."""

from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import Worker

from starters.steering.errors import NoSuchRun
from starters.steering.finding import find
from starters.steering.session import Session
from workers.settings import Settings, TemporalSettings


@workflow.defn(name="GoesOn", sandboxed=False)
class GoesOn:
    """Continues as new once, and then stands there."""

    @workflow.run
    async def run(self, again: bool) -> None:  # noqa: FBT001
        if again:
            workflow.continue_as_new(False)
        await workflow.wait_condition(lambda: False)


async def test_a_run_that_goes_on_as_new_is_found_and_signed_for_by_its_first_run(
    temporal_address: str, client: Client
) -> None:
    session = Session(Settings(temporal=TemporalSettings(address=temporal_address, ui_url="http://ui")), client)
    name, queue = f"a b/{uuid4()}", f"q-{uuid4()}"
    async with Worker(client, task_queue=queue, workflows=[GoesOn]):
        handle = await client.start_workflow("GoesOn", True, id=name, task_queue=queue)
        first = handle.result_run_id
        while (latest := await find(session, name)).description.run_id == first:
            pass
        assert latest.running
        assert latest.description.raw_description.workflow_execution_info.first_run_id == first
        escaped = name.replace(" ", "%20").replace("/", "%2F")
        assert latest.link == (f"http://ui/namespaces/default/workflows/{escaped}/{latest.description.run_id}/history")
        earlier = await find(session, f"{name}@{first}")
        assert (earlier.description.run_id, earlier.state) == (first, "continued as new")
        with pytest.raises(NoSuchRun, match="no run"):
            await find(session, f"{name}@{uuid4()}")
        await latest.handle.terminate()
