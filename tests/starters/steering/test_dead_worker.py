"""A person who decides right after a worker was killed does not wait for the dead one."""

import asyncio
import multiprocessing
import time
from datetime import timedelta
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from starters.steering import listing, runs, words
from starters.steering.finding import find
from starters.steering.listing import Wanted, listed
from starters.steering.session import Session
from tests.plugins.patience import HANGS
from tests.workflows.steering import begin, quiet, until
from tests.workflows.worlds.platform import Platform
from workers.clients import connect
from workers.settings import Settings, TemporalSettings, WorkerSettings
from workers.worker import build
from workflows.platform.lease import Extend
from workflows.platform.search_attributes import SERVICE
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest

KEPT = timedelta(minutes=3)
WORD = Extend(who="ada", role="on-call", by=timedelta(minutes=5))


def work(address: str, queue: str) -> None:
    asyncio.run(_work(address, queue))


async def _work(address: str, queue: str) -> None:
    how = WorkerSettings(dead_worker_keeps_runs=KEPT)
    client = await connect(TemporalSettings(address=address))
    kinds = [EmergencyScaleUp]
    await build(client, TemporalSettings(task_queue=queue), Platform().activities(), how=how, workflows=kinds).run()


async def test_neither_a_word_nor_a_look_waits_for_a_worker_that_was_killed(
    temporal_address: str, client: Client
) -> None:
    queue = f"q-{uuid4()}"
    victim = multiprocessing.get_context("spawn").Process(target=work, args=(temporal_address, queue), daemon=True)
    victim.start()
    try:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), "emergency_scale_up")
        await until(handle, lambda status: status.phase == "Autoscaler paused")
        session = Session(Settings(temporal=TemporalSettings(address=temporal_address)), client)
        run = await find(session, handle.id)
        kinds = [EmergencyScaleUp]
        async with build(client, TemporalSettings(task_queue=queue), Platform().activities(), workflows=kinds):
            # It has just asked for more work, so the server takes it for alive.
            await handle.execute_update("extend", WORD)
            # A turn that the server had given it already waits for it in any case.
            await quiet(handle)
            victim.kill()
            killed = time.monotonic()
            assert (await runs.status_of(run)).phase == "Autoscaler paused"
            await words.send(session, run, WORD, str)
            assert time.monotonic() - killed < KEPT.total_seconds() / 2
            await handle.cancel()
            with pytest.raises(WorkflowFailureError):
                await handle.result()
    finally:
        victim.kill()


async def test_runs_without_a_worker_are_listed_all_the_same(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_ALL_ANSWER_WITHIN", 0.3)
    service, session = f"s-{uuid4()}", Session(Settings(), client)
    marked = TypedSearchAttributes([SearchAttributePair(SERVICE, service)])
    queue = f"q-{uuid4()}"
    left = [
        await client.start_workflow("P1Incident", id=f"{queue}-{n}", task_queue=queue, search_attributes=marked)
        for n in range(12)
    ]
    try:
        names = {handle.id for handle in left}
        async with asyncio.timeout(HANGS):
            while len(rows := await listed(session, Wanted(service=service))) < len(left):
                await asyncio.sleep(0.05)
        assert {row.workflow_id for row in rows} == names
        assert not any(row.answers for row in rows)
        assert len(await listing.unasked(session, Wanted(service=service))) == len(left)
    finally:
        for handle in left:
            await handle.terminate()
