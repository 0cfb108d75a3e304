"""From the POST of an alert to the 202 that says its run has started; the floor is a bare `start_workflow`.

Both start on a task queue that nobody works on, so that neither meets the work of runs.
"""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from temporalio.client import Client

from bench.harness import Benchmark
from bench.production import Production, Service, Webhook, alert
from bench.servers import Servers
from sandbox.ports import LOOPBACK, free_port

_SERVICE = "tensafe-server"


class _Trials:
    def __init__(self, client: Client, webhook: Webhook, task_queue: str) -> None:
        self._client = client
        self._webhook = webhook
        self._task_queue = task_queue

    async def prepare(self, number: int) -> None:
        if number == 0:
            self._webhook.connect()

    async def ours(self, number: int) -> float:
        del number
        body = alert(_SERVICE)
        began = time.perf_counter()
        accepted = self._webhook.post(body)
        seconds = time.perf_counter() - began
        if accepted.outcome != "started":
            raise RuntimeError(f"no run was started: {accepted}")
        await self._client.get_workflow_handle(accepted.workflow_id, run_id=accepted.run_id).terminate("measured")
        return seconds

    async def floor(self, number: int) -> float:
        del number
        name = f"bare-{secrets.token_hex(8)}"
        began = time.perf_counter()
        handle = await self._client.start_workflow("Bare", id=name, task_queue=self._task_queue)
        seconds = time.perf_counter() - began
        await handle.terminate("measured")
        return seconds

    async def clean(self, number: int) -> None:
        del number

    def notes(self) -> list[str]:
        return []


@asynccontextmanager
async def _open(servers: Servers, rounds: int) -> AsyncIterator[_Trials]:
    del rounds
    nowhere = f"http://{LOOPBACK}:{free_port()}"
    services = {_SERVICE: Service("tensafe", f"{nowhere}/health")}
    # Nobody works, so nobody asks the cluster or Prometheus.
    production = Production(
        servers, "start", services, kubeconfig=servers.directory / "no-kubeconfig", prometheus_url=nowhere
    )
    with closing(production.start_webhook()) as webhook:
        yield _Trials(await Client.connect(servers.temporal.address), webhook, production.task_queue)


BENCHMARK = Benchmark("webhook-start", "webhook POST → run started", rounds=100, warmup=20, open=_open)
