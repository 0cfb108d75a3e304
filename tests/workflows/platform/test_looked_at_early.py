"""Somebody looks at a run that no worker has yet: it can be taken up again all the same, by any worker."""

import asyncio
import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowHandle

from activities.catalogue.lookup import Catalogue
from activities.monitoring.resets import Resets
from tests.crash.killer import Killer
from tests.crash.leftovers import reset
from tests.plugins.patience import HANGS
from tests.replay.live import replayed
from tests.workflows.worlds.platform import Platform
from workers.clients import connect
from workers.queues import name_of
from workers.settings import Settings, TemporalSettings
from workers.worker import build
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest

pytestmark = pytest.mark.servers
Handle = WorkflowHandle[Any, Any]


def activities() -> list[Callable[..., Any]]:
    resets = Resets()
    return [*Platform().activities(), resets.before_reset, resets.child, resets.done]


async def paused(run: Handle) -> None:
    async with asyncio.timeout(HANGS):
        while (await run.query("status"))["phase"] != "Autoscaler paused":
            await asyncio.sleep(0.1)


async def looked_at_early(client: Client, run: Handle) -> None:
    """Ask it three times while no worker is there, then have one take it up."""
    queue = run.id
    looks = [asyncio.create_task(run.query("status")) for _ in range(3)]
    await asyncio.sleep(1)  # the questions are with Temporal, which shows them nowhere
    assert not any(look.done() for look in looks)
    async with build(client, TemporalSettings(task_queue=queue), activities(), workflows=[EmergencyScaleUp]):
        await asyncio.gather(*looks)
        await paused(run)


@pytest.mark.parametrize("again", ["begun", "reset"])
async def test_a_run_that_was_looked_at_before_a_worker_took_it_up_replays(temporal_address: str, again: str) -> None:
    queue = f"early-{uuid4()}"
    settings = Settings(temporal=TemporalSettings(address=temporal_address, task_queue=queue))
    client = await connect(settings.temporal)
    run: Handle = await client.start_workflow("EmergencyScaleUp", EmergencyScaleUpRequest(), id=queue, task_queue=queue)
    if again == "reset":
        async with build(client, TemporalSettings(task_queue=queue), activities(), workflows=[EmergencyScaleUp]):
            await paused(run)
        run = await reset(client, run)
    try:
        await looked_at_early(client, run)
        now, running = (await run.describe()).run_id, f'TaskQueue = "{queue}" AND ExecutionStatus = "Running"'
        async with asyncio.timeout(HANGS):
            while [one.run_id async for one in client.list_workflows(running)] != [now]:  # visibility comes later
                await asyncio.sleep(0.1)
        assert await replayed(client, settings, 'ExecutionStatus = "Running"') == {}
    finally:
        await run.terminate("the test is over")


def die(address: str, queue: str, mark: Path, when: str) -> None:
    """Work until settings are looked up, and kill this process there."""

    async def work() -> None:
        client = await connect(TemporalSettings(address=address))
        killer = Killer(f"EmergencyScaleUp/{name_of(Catalogue.resolve)}:{when}", mark, {})
        kinds = [EmergencyScaleUp]
        await build(
            client, TemporalSettings(task_queue=queue), activities(), workflows=kinds, interceptors=[killer]
        ).run()

    asyncio.run(work())


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_worker_that_dies_while_it_looks_settings_up_costs_seconds(
    temporal_address: str, tmp_path: Path, when: str
) -> None:
    queue = f"dying-{uuid4()}"
    client = await connect(TemporalSettings(address=temporal_address))
    run: Handle = await client.start_workflow("EmergencyScaleUp", EmergencyScaleUpRequest(), id=queue, task_queue=queue)
    spawned = multiprocessing.get_context("spawn")
    victim = spawned.Process(target=die, args=(temporal_address, queue, tmp_path / "mark", when), daemon=True)
    victim.start()
    await asyncio.to_thread(victim.join, 60)
    assert victim.exitcode == -signal.SIGKILL
    async with build(client, TemporalSettings(task_queue=queue), activities(), workflows=[EmergencyScaleUp]):
        await paused(run)
        attempts = {
            event.activity_task_started_event_attributes.scheduled_event_id: event
            async for event in run.fetch_history_events()
            if event.HasField("activity_task_started_event_attributes")
        }
    first = attempts[min(attempts)].activity_task_started_event_attributes
    assert first.attempt == 2, "it is looked up once more, and nothing was done before"
    await run.terminate("the test is over")
