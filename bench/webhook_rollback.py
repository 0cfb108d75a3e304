"""From the POST of an alert to the rollback that the API server has accepted, as a watch on the Deployment sees it.

The floor is the runbook's own shell commands for the same path (2.2 steps 3 to 5, option A), one after the other. Every
round has two namespaces of its own with a bad release in them, prepared alike; one is ours, one is the shell's.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client

from bench import breakdown
from bench.harness import Benchmark
from bench.production import Production, Service, Webhook, alert
from bench.servers import Servers
from bench.shell import Shell
from bench.watch import GIVEN_UP_AFTER, Watch
from sandbox import kubernetes_api, manifests, probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.probes import wait_until
from sandbox.processes import ServerProcess

_QUIET = 0.3
_SIDES = ("ours", "floor")


class _Cluster:
    """The cluster from outside: prepares namespaces and watches them."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.api = kubernetes_api.connect(kubeconfig)

    def deployment(self, namespace: str) -> dict[str, Any]:
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{manifests.SERVICE}"
        found: dict[str, Any] = self.api.get(path).raise_for_status().json()
        return found

    def failing(self, namespace: str) -> bool:
        """Whether the bad release has replaced every pod and all of them have crashed."""
        status = self.deployment(namespace)["status"]
        pods = self.api.get(f"/api/v1/namespaces/{namespace}/pods").raise_for_status().json()["items"]
        states = [state for pod in pods for state in pod["status"].get("containerStatuses", ())]
        return (
            status.get("updatedReplicas") == len(pods) == len(states)
            and not status.get("readyReplicas")
            and all("waiting" in state["state"] for state in states)
        )

    def settled(self, namespace: str) -> bool:
        """Whether the rollback is through."""
        found = self.deployment(namespace)
        wanted, status = found["spec"]["replicas"], found["status"]
        return bool(status.get("readyReplicas") == status.get("replicas") == status.get("updatedReplicas") == wanted)

    def remove(self, namespace: str) -> None:
        self.api.delete(f"/api/v1/namespaces/{namespace}").raise_for_status()


def _rolled_back(deployments: dict[str, Any]) -> bool:
    template = deployments[manifests.SERVICE]["spec"]["template"]
    return bool(template["spec"]["containers"][0]["image"] == manifests.GOOD_IMAGE)


def _roll_back(shell: Shell, namespace: str, health_url: str) -> None:
    """Do what the runbook says, a command after the other."""
    deployment = f"deployment/{manifests.SERVICE}"
    shell.run("kubectl", "get", "pods", "-n", namespace)
    shell.run("kubectl", "get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
    shell.run("kubectl", "rollout", "history", deployment, "-n", namespace)
    shell.run("curl", "-s", health_url)
    shell.run("kubectl", "rollout", "undo", deployment, "-n", namespace)


@dataclass
class _Trials:
    servers: Servers
    cluster: _Cluster
    shell: Shell
    client: Client
    webhook: Webhook
    ports: dict[str, int]
    services: list[ServerProcess] = field(default_factory=list)
    spans: list[breakdown.Spans] = field(default_factory=list)

    async def prepare(self, number: int) -> None:
        await asyncio.gather(*(asyncio.to_thread(self._prepare, side, number) for side in _SIDES))
        await asyncio.sleep(_QUIET)

    def _prepare(self, side: str, number: int) -> None:
        namespace, kubeconfig = _namespace(side, number), self.cluster.kubeconfig
        manifests.apply_service(kubeconfig, namespace)
        health = self._health(side)
        service = self.servers.python(
            f"service-{namespace}",
            "sandbox.service",
            "--kubeconfig",
            kubeconfig,
            "--namespace",
            namespace,
            "--port",
            self.ports[side],
            "--logs",
            self.servers.directory / "pod-logs" / namespace,
            "--requests-per-second",
            1,
        )
        self.services.append(service)
        service.wait_ready(probes.http(health))
        manifests.release(kubeconfig, namespace, manifests.BAD_IMAGE)
        wait_until(lambda: self.cluster.failing(namespace), GIVEN_UP_AFTER)
        wait_until(lambda: httpx.get(health).status_code == httpx.codes.SERVICE_UNAVAILABLE)

    def _health(self, side: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[side]}/health"

    async def ours(self, number: int) -> float:
        namespace = _namespace("ours", number)
        deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        watch = await asyncio.to_thread(Watch, self.cluster.kubeconfig, deployments, _rolled_back)
        await asyncio.to_thread(self.webhook.connect)
        body = alert(namespace)
        at, began = time.time(), time.perf_counter()
        accepted = await asyncio.to_thread(self.webhook.post, body)
        seconds = await asyncio.to_thread(watch.seen_at) - began
        # The run has much more to do; what follows is not measured, and must not disturb what is.
        handle = self.client.get_workflow_handle(accepted.workflow_id, run_id=accepted.run_id)
        await asyncio.sleep(_QUIET)
        self.spans.append(breakdown.of(await handle.fetch_history(), at, seconds, "kubernetes.undo_rollout"))
        await handle.terminate("measured")
        await self._settle(namespace)
        return seconds

    async def floor(self, number: int) -> float:
        namespace = _namespace("floor", number)
        began = time.perf_counter()
        await asyncio.to_thread(_roll_back, self.shell, namespace, self._health("floor"))
        seconds = time.perf_counter() - began
        await self._settle(namespace)
        return seconds

    async def _settle(self, namespace: str) -> None:
        await asyncio.to_thread(wait_until, lambda: self.cluster.settled(namespace), GIVEN_UP_AFTER)
        image = self.cluster.deployment(namespace)["spec"]["template"]["spec"]["containers"][0]["image"]
        if image != manifests.GOOD_IMAGE:
            raise RuntimeError(f"{namespace} is on {image}")
        await asyncio.sleep(_QUIET)

    async def clean(self, number: int) -> None:
        for service in self.services:
            await asyncio.to_thread(service.stop)
        self.services.clear()
        for side in _SIDES:
            await asyncio.to_thread(self.cluster.remove, _namespace(side, number))

    def notes(self) -> list[str]:
        return breakdown.lines(self.spans[BENCHMARK.warmup :])


def _namespace(side: str, number: int) -> str:
    return f"bench-{side}-{number}"


@asynccontextmanager
async def _open(servers: Servers, rounds: int) -> AsyncIterator[_Trials]:
    ports = {side: free_port() for side in _SIDES}
    prometheus = servers.prometheus("prometheus", {manifests.SERVICE: f"{LOOPBACK}:{ports['ours']}"})
    cluster = _Cluster(servers.kubeconfig)
    services = {
        _namespace("ours", number): Service(_namespace("ours", number), f"http://{LOOPBACK}:{ports['ours']}/health")
        for number in range(rounds)
    }
    production = Production(servers, "rollback", services, kubeconfig=cluster.kubeconfig, prometheus_url=prometheus.url)
    production.start_worker()
    client = await Client.connect(servers.temporal.address)
    shell = Shell(cluster.kubeconfig, servers.directory / "rollback-shell")
    shell.require("curl")
    with closing(cluster.api), closing(production.start_webhook()) as webhook:
        yield _Trials(servers, cluster, shell, client, webhook, ports)


BENCHMARK = Benchmark("rollback", "webhook POST → rollback accepted by the API server", rounds=10, warmup=2, open=_open)
