"""Many open onboardings on one worker (runbook 5.1): its memory, and how soon the data ticks all of them.

Each is a run of the product: Temporal, a worker process, the records and the mail server are real, and day 0 is done in
all of its parts. Then every customer makes a first training job in the same moment, and the runs find it when they next
look, here every ten minutes and not every hour.

The floor of the memory is the same worker with a tenth of the runs open; the floor of the ticks is the ten minutes.
What one look costs the worker is told beside, since it bounds how many runs one worker can hold open: their looks of
one hour have to fit into it.

    BENCH_ONBOARDINGS=10000 python -m bench onboardings
"""

import asyncio
import os
import time
from datetime import timedelta
from typing import Any

import psutil
import psycopg
from rich.progress import Progress
from temporalio.client import Client, WorkflowHandle

from bench.harness import Outcome, Result
from bench.production import Production, Service
from bench.servers import Servers
from sandbox.ports import LOOPBACK
from workers.converter import DATA_CONVERTER
from workflows.customer_operations.enterprise_onboarding import EnterpriseOnboarding, EnterpriseOnboardingRequest

_OPEN = 1_000
_LOOK_EVERY = timedelta(minutes=10)
_IN_FLIGHT = 16
_STUCK_AFTER = 1_500.0
_MIB = 2**20
_SERVICE = "tensafe-server"

_TOLD = "SELECT count(*) FROM runbooks.mails WHERE template = 'api_key_issued'"


class _Onboardings:
    def __init__(self, servers: Servers, progress: Progress, size: int) -> None:
        self._servers, self._progress, self._size = servers, progress, size
        self._handles: list[WorkflowHandle[Any, Any]] = []
        self._client: Client
        self._worker: psutil.Process
        self._task_queue = ""

    async def measure(self) -> list[Outcome]:
        mail = {
            "backend": "smtp",
            "host": LOOPBACK,
            "port": self._servers.mail.port,
            "security": "none",
            "sender": "ops@bench.example",
        }
        production = Production(
            self._servers,
            "onboardings",
            {_SERVICE: Service("default", f"http://{LOOPBACK}:1/health")},
            kubeconfig=self._servers.kubeconfig,
            sections={"mail": mail, "handover": {"secret": "of the bench alone", "base_url": "http://bench.example"}},
            policies={"customers": {"onboarding": {"look_every": _LOOK_EVERY.total_seconds()}}},
        )
        self._worker = psutil.Process(production.start_worker().pid)
        self._task_queue = production.task_queue
        self._client = await Client.connect(self._servers.temporal.address, data_converter=DATA_CONVERTER)
        before, began = self._memory(), time.monotonic()
        few = max(self._size // 10, 1)
        await self._open(few)
        memory_few = self._memory()
        await self._open(self._size)
        opened = self._size / (time.monotonic() - began)
        memory_all = self._memory()
        spent = self._spent()
        ticked = await self._tick()
        look = (self._spent() - spent) / self._size
        after = self._memory()
        memory = Result(
            name=f"a worker's memory with {self._size:,} onboardings open, beside {few:,}",
            ours=memory_all,
            floor=memory_few,
            ratio=round(memory_all / memory_few, 3),
            unit="MiB",
            ours_p95=memory_all,
            floor_p95=memory_few,
            n=1,
            remarks=[
                f"{before:.0f} MiB with none, {after:.0f} MiB after all had been looked at",
                f"opened at {opened:.1f} a second: tenant, key, administrator and two mails each",
            ],
        )
        every = _LOOK_EVERY.total_seconds()
        ticks = Result(
            name=f"a first training job of {self._size:,} customers at once → every checklist ticked",
            ours=round(ticked * 1000),
            floor=every * 1000,
            ratio=round(ticked / every, 3),
            unit="ms",
            ours_p95=round(ticked * 1000),
            floor_p95=every * 1000,
            n=1,
            remarks=[
                f"the last of them; the runs look every {every:.0f} s",
                f"a look costs the worker {look * 1000:.0f} ms of processor time, its tick and one query with it",
            ],
        )
        return [Outcome(memory), Outcome(ticks)]

    async def _open(self, up_to: int) -> None:
        bar = self._progress.add_task(f"opening {up_to:,} onboardings", total=up_to, completed=len(self._handles))
        with psycopg.connect(self._servers.records, autocommit=True) as records:
            while len(self._handles) < up_to:
                await self._until(lambda: len(self._handles) - _count(records, _TOLD) < _IN_FLIGHT, every=0.02)
                number = len(self._handles)
                request = EnterpriseOnboardingRequest(
                    name=f"Customer {number:05}",
                    contact_name="Their administrator",
                    email=f"it-{number:05}@customers.example",
                )
                self._handles.append(
                    await self._client.start_workflow(
                        EnterpriseOnboarding.run,
                        request,
                        id=f"bench-onboarding-{number:05}",
                        task_queue=self._task_queue,
                    )
                )
                self._progress.advance(bar)
            await self._until(lambda: _count(records, _TOLD) == up_to)

    async def _tick(self) -> float:
        """Let every customer do something at once; gives after how many seconds the last run has seen it."""
        with psycopg.connect(self._servers.records, autocommit=True) as records:
            began = time.monotonic()
            records.execute("SELECT runbooks.record_usage(tenant_id, 'training_job') FROM runbooks.tenants")
        bar = self._progress.add_task("waiting for the ticks", total=len(self._handles))
        left = list(self._handles)
        while left:
            status = await left[-1].query(EnterpriseOnboarding.status)
            if "- [x] First training job run" in status.board:
                left.pop()
                self._progress.advance(bar)
            elif time.monotonic() - began > _STUCK_AFTER:
                raise RuntimeError(f"{len(left)} onboardings have not been ticked")
            else:
                await asyncio.sleep(0.2)
        return time.monotonic() - began

    async def _until(self, reached: Any, *, every: float = 0.2) -> None:
        began = time.monotonic()
        while not reached():
            if time.monotonic() - began > _STUCK_AFTER:
                raise RuntimeError("the onboardings do not come on: see the worker's log")
            await asyncio.sleep(every)

    def _spent(self) -> float:
        """Processor time of the worker so far, in seconds."""
        times = self._worker.cpu_times()
        return float(times.user + times.system)

    def _memory(self) -> float:
        return round(self._worker.memory_info().rss / _MIB, 1)


def _count(records: "psycopg.Connection[Any]", query: str) -> int:
    row = records.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return int(row[0])


class _Benchmark:
    key = "onboardings"

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]:
        del rounds
        return await _Onboardings(servers, progress, int(os.environ.get("BENCH_ONBOARDINGS", _OPEN))).measure()


BENCHMARK = _Benchmark()
