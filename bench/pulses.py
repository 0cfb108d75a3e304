"""A full hour's health pulses of many services on one worker (runbook 1.2): processor time that they cost the worker.

Each is a run of the product: Temporal, a worker process, the records and the service that is asked are real. All of
them begin in the same moment, as they do at the full hour. A healthy service is the rule, so that is what is measured.

The floor is what the runbook types, `curl` of the health URL, for as many services. An hour of a hundred is to cost
less than a core-minute.

    BENCH_PULSES=1000 python -m bench pulses
"""

import asyncio
import os
import resource
import statistics

import psutil
from rich.progress import Progress
from temporalio.client import Client

from bench.harness import Outcome, Result
from bench.production import Production, Service
from bench.servers import Servers
from bench.shell import Shell
from workers.converter import DATA_CONVERTER
from workflows.daily_operations.hourly_health_pulse import (
    HourlyHealthPulse,
    HourlyHealthPulseRequest,
    HourlyHealthPulseResult,
)

_SERVICES = 100
_HOURS = 3
_NAMESPACE = "bench-pulses"


class _Pulses:
    def __init__(self, servers: Servers, progress: Progress, size: int, hours: int) -> None:
        self._servers, self._progress, self._hours = servers, progress, hours
        self._names = [f"service-{number:04}" for number in range(size)]
        self._task_queue = ""
        self._client: Client
        self._worker: psutil.Process
        self._temporal: psutil.Process

    async def measure(self) -> list[Outcome]:
        servers = self._servers
        _, health = await asyncio.to_thread(servers.service, "pulses-service", _NAMESPACE)
        services = {name: Service(_NAMESPACE, health) for name in self._names}
        production = Production(servers, "pulses", services, kubeconfig=servers.kubeconfig)
        self._worker = psutil.Process(production.start_worker().pid)
        self._temporal = psutil.Process(servers.temporal.processes[0].pid)
        self._task_queue = production.task_queue
        self._client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
        shell = Shell(servers.kubeconfig, servers.directory / "pulses-shell")
        shell.require("curl")
        bar = self._progress.add_task(f"pulses of {len(self._names):,} services", total=self._hours + 1)
        first, *_ = await self._hour(0)  # with all that is imported and connected when it is first used
        self._progress.advance(bar)
        ours, others, floor = [], [], []
        for hour in range(1, self._hours + 1):
            worker, temporal = await self._hour(hour)
            ours.append(worker)
            others.append(temporal)
            floor.append(await asyncio.to_thread(self._by_hand, shell, health))
            self._progress.advance(bar)
        spent, by_hand = statistics.median(ours), statistics.median(floor)
        measured = Result(
            name=f"pulses of {len(self._names):,} services in one hour: the worker's processor time",
            ours=round(spent * 1000),
            floor=round(by_hand * 1000),
            ratio=round(spent / by_hand, 3),
            unit="ms",
            ours_p95=round(max(ours) * 1000),
            floor_p95=round(max(floor) * 1000),
            n=self._hours,
            remarks=[
                f"{spent / 60:.2f} core-minutes an hour; {first:.2f} s in a worker's first hour",
                f"Temporal's development server takes {statistics.median(others):.2f} s besides",
            ],
        )
        return [Outcome(measured)]

    async def _hour(self, hour: int) -> tuple[float, float]:
        """Let all services' pulses come at once; gives the seconds that it cost the worker, and Temporal."""
        before = _spent(self._worker), _spent(self._temporal)
        handles = await asyncio.gather(
            *(
                self._client.start_workflow(
                    HourlyHealthPulse.run,
                    HourlyHealthPulseRequest(service=name),
                    id=f"bench-pulse-{name}-{hour}",
                    task_queue=self._task_queue,
                )
                for name in self._names
            )
        )
        results: list[HourlyHealthPulseResult] = await asyncio.gather(*(handle.result() for handle in handles))
        if wrong := [one for one in results if not one.healthy or one.behind]:
            raise RuntimeError(f"{len(wrong)} pulses were not what is measured: {wrong[0]}")
        return _spent(self._worker) - before[0], _spent(self._temporal) - before[1]

    def _by_hand(self, shell: Shell, health: str) -> float:
        before = _children()
        for _ in self._names:
            shell.run("curl", "-sf", health)
        return _children() - before


def _spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _children() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


class _Benchmark:
    key = "pulses"

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]:
        size = int(os.environ.get("BENCH_PULSES", _SERVICES))
        return await _Pulses(servers, progress, size, rounds or _HOURS).measure()


BENCHMARK = _Benchmark()
