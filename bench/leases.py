"""Many open leases on one worker, or several; then many of them end within the same second.

Each is a run of the emergency scale-up that holds a ScaledObject of its own, as the product does it: Temporal, a worker
process, the Kubernetes API and the records are real. They share one Deployment (see `lease_worker`).

Measured are the worker's memory, beside what it was with few leases open, and how long after its lease's end each
ScaledObject was seen to be resumed. The floor of that is the runbook's last command for as many other ScaledObjects,
with the real kubectl, as many at once as there are cores.

Opening one takes a fifth of a second of a core, half of it Temporal's development server, so the default is small. The
full measurement, for half an hour in which nothing else runs, and with more than one worker:

    BENCH_LEASES=10000 BENCH_ENDING=1000 python -m bench leases
    BENCH_LEASES=10000 BENCH_ENDING=1000 BENCH_WORKERS=4 python -m bench leases

The workers' settings can be tried by their environment, such as RUNBOOKS_WORKER__DEAD_WORKER_KEEPS_RUNS=PT3S.
"""

import asyncio
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import psycopg
from rich.progress import Progress, TaskID
from temporalio.client import Client, WorkflowHandle

from bench.harness import Outcome, Result, result
from bench.lease_worker import REPLICAS
from bench.production import Production, Service
from bench.scaled_objects import PAUSED, ScaledObjects
from bench.servers import Servers
from bench.shell import Shell
from sandbox import manifests
from workers.converter import DATA_CONVERTER
from workflows.platform.lease import Extend
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest, EmergencyScaleUpResult

_LEASES = 1_000
_ENDING = 250
_FEW = 1_000
_NAMESPACE = "bench-leases"
_LONG = timedelta(hours=3)
_IN_FLIGHT = 24
"""Started, and not yet holding: what is more would only queue."""
_STUCK_AFTER = 120.0
_MARGIN = timedelta(seconds=15)
_MIB = 2**20

_Handle = WorkflowHandle[Any, EmergencyScaleUpResult]


class _Leases:
    def __init__(self, servers: Servers, progress: Progress, size: int, ending: int, workers: int) -> None:
        self._few = min(_FEW, size // 2, size - ending)
        self._names = [f"lease-{number:05}" for number in range(size)]
        self._ending = self._names[-ending:]
        self._by_hand = [f"by-hand-{number:05}" for number in range(len(self._ending))]
        self._servers, self._progress = servers, progress
        self._objects = ScaledObjects(servers.kubeconfig, _NAMESPACE)
        self._handles: dict[str, _Handle] = {}
        self._client: Client
        self._many_workers = workers
        self._workers: list[psutil.Process] = []
        self._task_queue = ""
        self._busy = 0.0

    async def measure(self) -> list[Outcome]:
        kubeconfig = self._servers.kubeconfig
        await self._prepare()
        began = time.monotonic()
        memory_before = self._memory()
        await self._start(self._names[: self._few], _LONG)
        memory_few = self._memory()
        await self._start(self._names[self._few : -len(self._ending)], _LONG)
        each = (time.monotonic() - began) / len(self._handles)
        # All of them are to be there, and their ends moved together, before any ends.
        await self._start(self._ending, timedelta(seconds=45 + 1.75 * each * len(self._ending)))
        seconds = time.monotonic() - began
        memory_all = self._memory()
        late = await self._end()
        memory_after = self._memory()
        shell, busy = Shell(kubeconfig, self._servers.directory / "leases-shell"), _busy()
        by_hand = await self._resume_by_hand(shell)
        busy_by_hand = _busy() - busy
        size, few, ending = (f"{len(many):,}" for many in (self._names, self._names[: self._few], self._ending))
        shared = f"all runs share one Deployment, and each finds it at {REPLICAS} replicas; all else is real"
        by = f" by {self._many_workers} workers" if self._many_workers > 1 else ""
        memory = Result(
            name=f"a worker's memory with {size} leases open{by}, beside {few}",
            ours=memory_all,
            floor=memory_few,
            ratio=round(memory_all / memory_few, 3),
            unit="MiB",
            ours_p95=memory_all,
            floor_p95=memory_few,
            n=1,
            remarks=[
                f"{memory_before:.0f} MiB with none, {memory_after:.0f} MiB after {ending} had ended at once",
                f"opened at {len(self._names) / seconds:.1f} a second; {shared}",
            ],
        )
        ended = result(
            f"end of {ending} leases in the same second, {size} open{by} → resumed",
            late,
            by_hand,
            f"all {len(late):,} resumed and complete; p99 {_p99(late):.2f} s after the lease's end, kubectl "
            f"{_p99(by_hand):.2f} s: {_p99(late) / _p99(by_hand):.2f}; {shared}",
            f"CPU of all processes, servers included, until the last run was complete: {self._busy:.0f} s, by hand "
            f"{busy_by_hand:.0f} s; a worker's memory {memory_after:.0f} MiB",
        )
        return [Outcome(memory), Outcome(ended)]

    async def _prepare(self) -> None:
        servers = self._servers
        _, health = await asyncio.to_thread(servers.service, "leases-service", _NAMESPACE)
        await asyncio.to_thread(self._objects.create, self._names)
        await asyncio.to_thread(self._objects.watch)
        await asyncio.to_thread(self._objects.create, self._by_hand, annotations={PAUSED: "true"})
        services = {manifests.SERVICE: Service(_NAMESPACE, health)}
        production = Production(servers, "leases", services, kubeconfig=servers.kubeconfig)
        for number in range(1, self._many_workers + 1):
            started = production.start_worker("bench.lease_worker", name=f"worker-{number}")
            self._workers.append(psutil.Process(started.pid))
        self._task_queue = production.task_queue
        self._client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)

    async def _start(self, names: Sequence[str], lasting: timedelta) -> None:
        """Open leases with about the same end, and wait until their runs do nothing but hold them."""
        until = datetime.now(UTC) + lasting
        bar = self._progress.add_task(f"opening {len(names):,} leases of {len(self._names):,}", total=len(names))
        for name in names:
            await self._wait(lambda: len(self._handles) - len(self._objects.until) - _IN_FLIGHT + 1)
            self._handles[name] = await self._client.start_workflow(
                EmergencyScaleUp.run,
                EmergencyScaleUpRequest(service=name, lease=until - datetime.now(UTC)),
                id=f"bench-{name}",
                task_queue=self._task_queue,
            )
            self._progress.advance(bar)
        with psycopg.connect(self._servers.records, autocommit=True) as records:
            await self._wait(lambda: len(self._handles) - _told(records), every=0.5)
        if late := [name for name in names if name in self._objects.resumed]:
            raise RuntimeError(f"{len(late)} leases ended before all were open: the machine is too busy to measure")

    async def _end(self) -> list[float]:
        """Let some leases end in the same instant; gives how many seconds after it each is seen to be resumed."""
        until = max(self._objects.until[name] for name in self._ending)
        until = max(until, datetime.now(UTC)) + _MARGIN
        bar = self._progress.add_task("moving their ends together", total=len(self._ending))
        room = asyncio.Semaphore(_IN_FLIGHT)

        async def extend(name: str) -> None:
            async with room:
                word = Extend(who="bench@example.org", role="on-call", by=until - self._objects.until[name])
                await self._handles[name].execute_update("extend", word)
            self._progress.advance(bar)

        await asyncio.gather(*(extend(name) for name in self._ending))
        if early := set(self._objects.resumed) & set(self._ending):
            raise RuntimeError(f"{len(early)} leases ended before they were extended: the machine is too busy")
        ends = {self._objects.until[name] for name in self._ending}
        if max(ends) - min(ends) >= timedelta(seconds=1):
            raise RuntimeError(f"the leases don't end in the same second, but between {min(ends)} and {max(ends)}")
        await asyncio.sleep((until - datetime.now(UTC)).total_seconds())
        busy = _busy()
        bar = self._progress.add_task("waiting for their release", total=len(self._ending))
        await self._wait(lambda: self._paused(self._ending), bar=bar, every=0.1)
        async with asyncio.timeout(_STUCK_AFTER * 5):
            results = await asyncio.gather(*(self._handles[name].result() for name in self._ending))
        if wrong := [one for one in results if one.ended_by != "expiry" or not one.complete]:
            raise RuntimeError(f"{len(wrong)} runs did not end as they should: {wrong[0]}")
        self._busy = _busy() - busy
        if more := len(self._objects.resumed) - len(self._ending):
            raise RuntimeError(f"{more} leases were released that had not ended")
        return [self._objects.resumed[name] - self._objects.until[name].timestamp() for name in self._ending]

    async def _resume_by_hand(self, shell: Shell) -> list[float]:
        bar = self._progress.add_task("resuming as many by hand", total=len(self._by_hand))
        began = time.time()
        command = ("kubectl", "annotate", "scaledobject", "-n", _NAMESPACE, "{}", f"{PAUSED}-")
        names = "\n".join(self._by_hand)
        cores = str(os.cpu_count() or 1)
        await asyncio.to_thread(shell.run, "xargs", "-P", cores, "-I", "{}", *command, given=names)
        await self._wait(lambda: self._paused(self._by_hand), bar=bar)
        return [self._objects.resumed[name] - began for name in self._by_hand]

    async def _wait(self, left: Callable[[], int], *, bar: TaskID | None = None, every: float = 0.005) -> None:
        """Wait until nothing is left, for as long as it grows less."""
        most = least = left()
        moved = time.monotonic()
        while least > 0:
            if time.monotonic() - moved > _STUCK_AFTER:
                raise RuntimeError(f"{least} have been left for {_STUCK_AFTER:g} s; see the logs (--keep)")
            await asyncio.sleep(every)
            if (now := left()) < least:
                least, moved = now, time.monotonic()
            if bar is not None:
                self._progress.update(bar, completed=most - least)

    def _paused(self, names: Sequence[str]) -> int:
        return sum(name not in self._objects.resumed for name in names)

    def _memory(self) -> float:
        """Give the workers' memory, in MiB each."""
        return round(statistics.mean(worker.memory_info().rss for worker in self._workers) / _MIB, 1)


def _busy() -> float:
    """Give the CPU seconds of this process' family until now: what busy neighbours don't change much."""
    living = [one.cpu_times() for one in psutil.Process().children(recursive=True)]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(times.user + times.system for times in living) + ended.ru_utime + ended.ru_stime


def _told(records: "psycopg.Connection[Any]") -> int:
    """Count the runs that have told the channel of their scaling: the last they do before they only wait."""
    row = records.execute(
        "SELECT count(*) FROM runbooks.messages "
        "WHERE workflow_id LIKE 'bench-lease-%' AND effect_key LIKE '%/post-scaled'"
    ).fetchone()
    return int(row[0]) if row else 0


def _p99(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=100, method="inclusive")[-1]


class _Benchmark:
    key = "leases"

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]:
        del rounds
        given = (("BENCH_LEASES", _LEASES), ("BENCH_ENDING", _ENDING), ("BENCH_WORKERS", 1))
        size, ending, workers = (int(os.environ.get(name, default)) for name, default in given)
        return await _Leases(servers, progress, size, ending, workers).measure()


BENCHMARK = _Benchmark()
