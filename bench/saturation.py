"""A run's first effect while two hundred others hold a watch on the same worker, beside the same on an idle worker."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import CancelledError

from bench.harness import Benchmark, Trials
from bench.servers import Servers
from workers.clients import connect
from workers.queues import ORCHESTRATION, Queues
from workers.settings import TemporalSettings, WorkerSettings
from workers.worker import working

WATCHES = 200
"""As many as a worker has slots for; it has 40 for all else."""

_BEATS = timedelta(seconds=30)
_LONG, _SHORT = timedelta(minutes=10), timedelta(seconds=10)


@activity.defn(name="bench-watch")
def watch() -> None:
    """Hold a slot until cancelled, as a watch does between two looks."""
    with suppress(CancelledError):
        while True:
            time.sleep(0.5)
            activity.heartbeat()


@activity.defn(name="bench-effect")
def effect() -> None:
    """Do nothing."""


@workflow.defn(name="BenchWatcher")
class Watcher:
    """Holds one watch."""

    @workflow.run
    async def run(self) -> None:
        """Watch."""
        await workflow.execute_activity(watch, start_to_close_timeout=_LONG, heartbeat_timeout=_BEATS)


@workflow.defn(name="BenchActor")
class Actor:
    """Has one effect."""

    @workflow.run
    async def run(self) -> None:
        """Act."""
        await workflow.execute_activity(effect, start_to_close_timeout=_SHORT)


class _Trials(Trials):
    def __init__(self, client: Client, queues: tuple[str, str]) -> None:
        self._client = client
        self._ours, self._floor = queues

    async def prepare(self, number: int) -> None:
        del number

    async def ours(self, number: int) -> float:
        del number
        return await self._acted(self._ours)

    async def floor(self, number: int) -> float:
        del number
        return await self._acted(self._floor)

    async def _acted(self, queue: str) -> float:
        began = time.perf_counter()
        await self._client.execute_workflow(Actor.run, id=f"bench-{secrets.token_hex(8)}", task_queue=queue)
        return time.perf_counter() - began

    async def clean(self, number: int) -> None:
        del number

    def notes(self) -> list[str]:
        return []


@asynccontextmanager
async def _open(servers: Servers, _rounds: int) -> AsyncIterator[_Trials]:
    busy, idle = "bench-saturated", "bench-idle"
    settings = {queue: TemporalSettings(address=servers.temporal.address, task_queue=queue) for queue in (busy, idle)}
    clients = {queue: await connect(of) for queue, of in settings.items()}
    how, steps = WorkerSettings(), {ORCHESTRATION: [watch, effect]}
    kinds = [Watcher, Actor]
    async with (
        working(clients[busy], settings[busy], Queues(busy), steps, how=how, workflows=kinds),
        working(clients[idle], settings[idle], Queues(idle), steps, how=how, workflows=kinds),
    ):
        held = await _watched(clients[busy], busy)
        yield _Trials(clients[busy], (busy, idle))
        for handle in held:
            await handle.terminate("measured")


async def _watched(client: Client, queue: str) -> "list[WorkflowHandle[Watcher, None]]":
    started = [await client.start_workflow(Watcher.run, id=f"{queue}-{n}", task_queue=queue) for n in range(WATCHES)]
    for handle in started:
        while not await _holds(handle):  # noqa: ASYNC110  only the server knows
            await asyncio.sleep(0.5)
    return started


async def _holds(handle: "WorkflowHandle[Watcher, None]") -> bool:
    described = await handle.describe()
    return any(pending.last_started_time.seconds for pending in described.raw_description.pending_activities)


BENCHMARK = Benchmark(
    key="saturation",
    name=f"a run's first effect, {WATCHES} watches held → idle worker",
    rounds=30,
    warmup=3,
    open=_open,
)
