"""From the approval of a failover until the replica takes writes: the old primary is fenced in between.

The floor is PostgreSQL's own `pg_ctl promote` on the same replica, of a primary that was killed in the same way: what
no failover can do without. Both are seen by the same open connection to the replica, and take turns.
"""

import asyncio
import secrets
import statistics
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from temporalio.client import Client, WorkflowHandle

from bench.harness import Benchmark
from bench.production import Production, Service
from bench.servers import Servers
from sandbox import manifests
from sandbox.postgres_programs import PostgresPrograms
from sandbox.ready import ready
from sandbox.service_database import NAME, PRIMARY, REPLICA, ServiceDatabase
from workers.converter import DATA_CONVERTER
from workflows.disaster_recovery.failover.database_failover import DatabaseFailover, DatabaseFailoverRequest
from workflows.platform.approval import Decision

_NAMESPACE = "bench-failover"
_GIVEN_UP_AFTER = 60.0
_POLICY = {"probes": 2, "probe_every": "PT0.2S", "longest_lag": "PT1H"}


@dataclass
class _Trials:
    kubeconfig: Path
    database: ServiceDatabase
    programs: PostgresPrograms
    client: Client
    task_queue: str
    fences: list[float] = field(default_factory=list)

    async def prepare(self, number: int) -> None:
        del number

    async def ours(self, number: int) -> float:
        self.database.kill(PRIMARY)
        handle = await self.client.start_workflow(
            DatabaseFailover.run,
            DatabaseFailoverRequest(),
            id=f"bench-failover-{number}-{secrets.token_hex(4)}",
            task_queue=self.task_queue,
        )
        await self._asked(handle, "failover-1")
        seen = asyncio.create_task(asyncio.to_thread(self._writable_at))
        await asyncio.sleep(0.1)
        began = time.perf_counter()
        await handle.execute_update("decide", _word("failover-1", "promote"))
        seconds = await seen - began
        await self._asked(handle, "return-1")
        await handle.execute_update("decide", _word("return-1", "rejoin"))
        await handle.result()
        self.fences.append(await _lasted(handle, "database_hosts.fence"))
        await asyncio.to_thread(self._back)
        return seconds

    async def floor(self, number: int) -> float:
        del number
        self.database.kill(PRIMARY)
        seen = asyncio.create_task(asyncio.to_thread(self._writable_at))
        await asyncio.sleep(0.1)
        began = time.perf_counter()
        await asyncio.to_thread(self._promote)
        seconds = await seen - began
        await asyncio.to_thread(self._as_after_ours)
        await asyncio.to_thread(self._back)
        return seconds

    async def clean(self, number: int) -> None:
        del number

    def notes(self) -> list[str]:
        fence = statistics.median(self.fences[BENCHMARK.warmup :]) * 1000
        return [f"{fence:6.1f} ms  of it the command that fences the old primary, from its start to its end"]

    async def _asked(self, handle: WorkflowHandle[Any, Any], question: str) -> None:
        while True:
            status = await handle.query(DatabaseFailover.status)
            if any(asked.id == question for asked in status.questions):
                return
            await asyncio.sleep(0.02)

    def _writable_at(self) -> float:
        """Wait until the replica takes writes, on a connection that is open already."""
        deadline = time.perf_counter() + _GIVEN_UP_AFTER
        with psycopg.connect(self.database.url(REPLICA), autocommit=True) as connection:
            while connection.execute("SELECT pg_is_in_recovery()").fetchone() != (False,):
                if time.perf_counter() > deadline:
                    raise RuntimeError("the replica was not promoted")
                time.sleep(0.001)
        return time.perf_counter()

    def _promote(self) -> None:
        subprocess.run(
            [self.programs.folder / "pg_ctl", "promote", "-D", self.database.data(REPLICA)],
            check=True,
            capture_output=True,
            cwd="/",
            user=self.programs.uid,
            group=self.programs.gid,
            extra_groups=None if self.programs.uid is None else [],
        )

    def _as_after_ours(self) -> None:
        self.database.do("fence", PRIMARY)
        self.database.do("rejoin", PRIMARY, REPLICA)

    def _back(self) -> None:
        """Have the two as they were before either."""
        self.database.do("fence", REPLICA)
        with psycopg.connect(self.database.url(PRIMARY), autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        self.database.do("rejoin", REPLICA, PRIMARY)
        manifests.apply_secrets(self.kubeconfig, _NAMESPACE, self.database.secrets())


def _word(question: str, choice: str) -> Decision:
    return Decision(who="bench@example.org", role="dba", question=question, choice=choice, reason="measured")


async def _lasted(handle: WorkflowHandle[Any, Any], activity: str) -> float:
    """Give the seconds from an activity's start to its end."""
    events = (await handle.fetch_history()).events
    of = {e.event_id for e in events if e.activity_task_scheduled_event_attributes.activity_type.name == activity}
    times = {
        name: next(
            float(event.event_time.ToNanoseconds() / 1e9)
            for event in events
            if getattr(event, f"activity_task_{name}_event_attributes").scheduled_event_id in of
        )
        for name in ("started", "completed")
    }
    return times["completed"] - times["started"]


@asynccontextmanager
async def _open(servers: Servers, rounds: int) -> AsyncIterator[_Trials]:
    del rounds
    with ready(ServiceDatabase(servers.directory / "failover-database")) as database:
        kubeconfig = servers.kubeconfig
        service, health = servers.service("failover-service", _NAMESPACE)
        manifests.apply_secrets(kubeconfig, _NAMESPACE, database.secrets())
        production = Production(
            servers,
            "failover",
            {manifests.SERVICE: Service(_NAMESPACE, health)},
            kubeconfig=kubeconfig,
            sections={"databases": {NAME: database.settings()}},
            policies={"database": {**database.policy(), "failover": _POLICY}},
        )
        worker = production.start_worker()
        client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
        yield _Trials(kubeconfig, database, PostgresPrograms(), client, production.task_queue)
        for process in (worker, service):
            process.stop()


BENCHMARK = Benchmark("failover", "failover approved → takes writes", rounds=5, warmup=1, open=_open)
