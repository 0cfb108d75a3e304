"""A word that is said before a run has looked its settings up counts, once it has."""

import asyncio
from uuid import uuid4

from temporalio.client import Client

from starters.steering.runs import describe
from starters.steering.session import Session
from starters.steering.words import send
from tests.workflows.worlds.platform import Platform
from workers.settings import Settings, TemporalSettings
from workers.worker import build
from workflows.platform.run_status import Note
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest


async def test_a_word_to_a_run_that_no_worker_has_yet_is_taken(temporal_address: str, client: Client) -> None:
    queue = f"q-{uuid4()}"
    session = Session(Settings(temporal=TemporalSettings(address=temporal_address)), client)
    await client.start_workflow("EmergencyScaleUp", EmergencyScaleUpRequest(), id=queue, task_queue=queue)
    run = await describe(session, queue, None)
    assert run is not None
    said = asyncio.create_task(send(session, run, Note(who="ada", role="on-call", text="it is the queue"), str))
    await asyncio.sleep(0.5)  # it comes with the run's first task
    async with build(client, TemporalSettings(task_queue=queue), Platform().activities(), workflows=[EmergencyScaleUp]):
        await said
        status = await run.handle.query("status")
        await run.handle.terminate("the test is over")
    assert [one["text"] for one in status["entries"] if one["kind"] == "note"] == ["it is the queue"]
