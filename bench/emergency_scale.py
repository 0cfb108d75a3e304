"""From the start of an emergency scale-up to twice the pods ready, as a watch on the pods sees it.

The floor is the runbook's own script for it (3.2, `emergency-scale-up.sh` beside this), by the same watch. Both begin
with the same service at three replicas and KEDA's ScaledObject active, and take turns.
"""

import asyncio
import secrets
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory

from bench import breakdown
from bench.harness import Benchmark
from bench.production import Production, Service
from bench.servers import Servers
from bench.shell import Shell
from bench.watch import GIVEN_UP_AFTER, Watch
from sandbox import kubernetes_api, manifests
from sandbox.probes import wait_until
from workers.converter import DATA_CONVERTER
from workflows.platform.lease import Resume
from workflows.scaling.emergency_scale_up import EmergencyScaleUp, EmergencyScaleUpRequest, EmergencyScaleUpResult

_SCRIPT = Path(__file__).with_name("emergency-scale-up.sh")
_NAMESPACE = "tensafe"  # the script's
_PODS = f"/api/v1/namespaces/{_NAMESPACE}/pods"
_DEPLOYMENT = f"/apis/apps/v1/namespaces/{_NAMESPACE}/deployments/{manifests.SERVICE}"
_SCALED_OBJECT = f"/apis/keda.sh/v1alpha1/namespaces/{_NAMESPACE}/scaledobjects/tensafe-scaledobject"
_PAUSED = "autoscaling.keda.sh/paused"
_BEFORE, _AFTER = 3, 6
_QUIET = 0.3
_RESUME = Resume(who="bench@example.org", role="on-call", reason="measured")


def _ready(pods: dict[str, Any]) -> int:
    return sum(
        any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))
        for pod in pods.values()
        if "deletionTimestamp" not in pod["metadata"]
    )


@dataclass
class _Trials:
    kubeconfig: Path
    api: httpx.Client
    shell: Shell
    client: Client
    task_queue: str
    spans: list[breakdown.Spans] = field(default_factory=list)
    ours_known: list[float] = field(default_factory=list)
    floor_known: list[float] = field(default_factory=list)

    async def prepare(self, number: int) -> None:
        del number
        await self._reset()

    async def ours(self, number: int) -> float:
        request = EmergencyScaleUpRequest(service=manifests.SERVICE, lease=timedelta(minutes=5))
        watch = await self._watch()
        at, began = time.time(), time.perf_counter()
        handle = await self.client.start_workflow(
            EmergencyScaleUp.run, request, id=f"bench-scale-{number}-{secrets.token_hex(4)}", task_queue=self.task_queue
        )
        seconds = await asyncio.to_thread(watch.seen_at) - began
        await asyncio.sleep(_QUIET)
        if not self._annotations().get(_PAUSED):
            raise RuntimeError("the autoscaler was not paused")
        await handle.execute_update("resume", _RESUME)
        result: EmergencyScaleUpResult = await handle.result()
        if not result.complete or self._annotations().get(_PAUSED):
            raise RuntimeError(f"not scaled, or not resumed: {result}")
        history = await handle.fetch_history()
        self.spans.append(breakdown.of(history, at, seconds, "kubernetes.scale"))
        self.ours_known.append(_rollout_known(history) - at)
        await self._reset()
        return seconds

    async def floor(self, number: int) -> float:
        del number
        watch = await self._watch()
        began = time.perf_counter()
        await asyncio.to_thread(self.shell.run, "bash", _SCRIPT)
        self.floor_known.append(time.perf_counter() - began)
        seconds = await asyncio.to_thread(watch.seen_at) - began
        await self._reset()
        return seconds

    async def clean(self, number: int) -> None:
        del number

    def notes(self) -> list[str]:
        ours, floor = (statistics.median(k[BENCHMARK.warmup :]) * 1000 for k in (self.ours_known, self.floor_known))
        return [
            *breakdown.lines(self.spans[BENCHMARK.warmup :]),
            f"{ours:6.1f} ms  until the run itself knows that its rollout is complete",
            f"{floor:6.1f} ms  until the script does (`kubectl rollout status` has returned)",
        ]

    async def _watch(self) -> Watch:
        watch = await asyncio.to_thread(Watch, self.kubeconfig, _PODS, lambda pods: _ready(pods) == _AFTER)
        await asyncio.sleep(_QUIET)
        return watch

    def _annotations(self) -> dict[str, str]:
        annotations: dict[str, str] = self._get(_SCALED_OBJECT)["metadata"].get("annotations", {})
        return annotations

    def _get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(path).raise_for_status().json()
        return found

    async def _reset(self) -> None:
        """Undo what either has done: the autoscaler active, three pods and no others."""
        merge = {"Content-Type": "application/merge-patch+json"}
        active = {"metadata": {"annotations": {_PAUSED: None}}}
        self.api.patch(_SCALED_OBJECT, json=active, headers=merge).raise_for_status()
        replicas = {"spec": {"replicas": _BEFORE}}
        self.api.patch(f"{_DEPLOYMENT}/scale", json=replicas, headers=merge).raise_for_status()
        await asyncio.to_thread(wait_until, self._settled, GIVEN_UP_AFTER)
        await asyncio.sleep(_QUIET)

    def _settled(self) -> bool:
        pods = {pod["metadata"]["name"]: pod for pod in self._get(_PODS)["items"]}
        ready = self._get(_DEPLOYMENT)["status"].get("readyReplicas")
        return bool(len(pods) == _ready(pods) == ready == _BEFORE)


def _rollout_known(history: WorkflowHistory) -> float:
    """Give the time at which the run's own wait for the rollout has ended."""
    scheduled = {
        event.event_id
        for event in history.events
        if event.activity_task_scheduled_event_attributes.activity_type.name == "kubernetes.await_rollout"
    }
    return next(
        float(event.event_time.ToNanoseconds() / 1e9)
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED
        and event.activity_task_completed_event_attributes.scheduled_event_id in scheduled
    )


@asynccontextmanager
async def _open(servers: Servers, rounds: int) -> AsyncIterator[_Trials]:
    del rounds
    kubeconfig = servers.kubeconfig
    service, health = servers.service("scale-service", _NAMESPACE)
    services = {manifests.SERVICE: Service(_NAMESPACE, health)}
    production = Production(servers, "scale", services, kubeconfig=kubeconfig)
    worker = production.start_worker()
    client = await Client.connect(servers.temporal.address, data_converter=DATA_CONVERTER)
    shell = Shell(kubeconfig, servers.directory / "scale-shell")
    with closing(kubernetes_api.connect(kubeconfig)) as api:
        yield _Trials(kubeconfig, api, shell, client, production.task_queue)
    for process in (worker, service):
        process.stop()


BENCHMARK = Benchmark("scale", "emergency scale-up → twice the pods ready", rounds=10, warmup=2, open=_open)
