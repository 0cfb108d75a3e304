"""From the POST of an alert to the rollback that the API server has accepted, as a watch on the Deployment sees it.

The floor is the runbook's own shell commands for the same path (2.2 steps 3 to 5, option A), one after the other. Every
round has two namespaces of its own with a bad release in them, prepared alike; one is ours, one is the shell's.
"""

import asyncio
import json
import os
import shutil
import subprocess
import threading
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
from sandbox import binaries, kubernetes_api, manifests, probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.probes import wait_until
from sandbox.processes import ServerProcess

_GIVEN_UP_AFTER = 30.0
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


class _Watch:
    """Notes when a Deployment's template is the good one again."""

    def __init__(self, cluster: _Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._since = cluster.deployment(namespace)["metadata"]["resourceVersion"]
        self._open = threading.Event()
        self._done = threading.Event()
        self._at = 0.0
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()
        if not self._open.wait(_GIVEN_UP_AFTER):
            raise RuntimeError(f"no watch on {namespace} in {_GIVEN_UP_AFTER:g} s")

    def seen_at(self) -> float:
        """Wait for it; the time is `perf_counter`'s."""
        if not self._done.wait(_GIVEN_UP_AFTER):
            raise RuntimeError(f"{self._namespace} was not rolled back in {_GIVEN_UP_AFTER:g} s")
        self._thread.join()
        return self._at

    def _follow(self) -> None:
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments"
        params = {"watch": "true", "resourceVersion": self._since}
        with (
            kubernetes_api.connect(self._cluster.kubeconfig) as api,
            api.stream("GET", path, params=params, timeout=_GIVEN_UP_AFTER) as events,
        ):
            events.raise_for_status()
            self._open.set()
            for line in events.iter_lines():
                now = time.perf_counter()
                template = json.loads(line)["object"]["spec"]["template"]
                if template["spec"]["containers"][0]["image"] == manifests.GOOD_IMAGE:
                    self._at = now
                    self._done.set()
                    return


class _Shell:
    """The runbook's commands, with the real kubectl."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        home.mkdir()
        # kubectl keeps what it has discovered of the API there from one command to the next, as it does for a person.
        self._env = {**os.environ, "HOME": str(home), "KUBECONFIG": str(kubeconfig), "no_proxy": LOOPBACK}
        self._kubectl = str(binaries.find("kubectl"))
        curl = shutil.which("curl")
        if curl is None:
            raise RuntimeError("curl is not installed: the runbook's commands need it")
        self._curl = curl

    def roll_back(self, namespace: str, health_url: str) -> None:
        deployment = f"deployment/{manifests.SERVICE}"
        for command in (
            [self._kubectl, "get", "pods", "-n", namespace],
            [self._kubectl, "get", "events", "-n", namespace, "--sort-by=.lastTimestamp"],
            [self._kubectl, "rollout", "history", deployment, "-n", namespace],
            [self._curl, "-s", health_url],
            [self._kubectl, "rollout", "undo", deployment, "-n", namespace],
        ):
            subprocess.run(command, env=self._env, check=True, capture_output=True)


@dataclass
class _Trials:
    servers: Servers
    cluster: _Cluster
    shell: _Shell
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
            f"service-{namespace}", "sandbox.service", "--kubeconfig", kubeconfig, "--namespace", namespace,
            "--port", self.ports[side], "--logs", self.servers.directory / "pod-logs" / namespace,
            "--requests-per-second", 1,
        )  # fmt: skip
        self.services.append(service)
        service.wait_ready(probes.http(health))
        manifests.release(kubeconfig, namespace, manifests.BAD_IMAGE)
        wait_until(lambda: self.cluster.failing(namespace), _GIVEN_UP_AFTER)
        wait_until(lambda: httpx.get(health).status_code == httpx.codes.SERVICE_UNAVAILABLE)

    def _health(self, side: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[side]}/health"

    async def ours(self, number: int) -> float:
        namespace = _namespace("ours", number)
        watch = await asyncio.to_thread(_Watch, self.cluster, namespace)
        await asyncio.to_thread(self.webhook.connect)
        body = alert(namespace)
        at, began = time.time(), time.perf_counter()
        accepted = await asyncio.to_thread(self.webhook.post, body)
        seconds = await asyncio.to_thread(watch.seen_at) - began
        # The run has much more to do; what follows is not measured, and must not disturb what is.
        handle = self.client.get_workflow_handle(accepted.workflow_id, run_id=accepted.run_id)
        await asyncio.sleep(_QUIET)
        self.spans.append(breakdown.of(await handle.fetch_history(), at, seconds))
        await handle.terminate("measured")
        await self._settle(namespace)
        return seconds

    async def floor(self, number: int) -> float:
        namespace = _namespace("floor", number)
        began = time.perf_counter()
        await asyncio.to_thread(self.shell.roll_back, namespace, self._health("floor"))
        seconds = time.perf_counter() - began
        await self._settle(namespace)
        return seconds

    async def _settle(self, namespace: str) -> None:
        await asyncio.to_thread(wait_until, lambda: self.cluster.settled(namespace), _GIVEN_UP_AFTER)
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
    shell = _Shell(cluster.kubeconfig, servers.directory / "shell-home")
    with closing(cluster.api), closing(production.start_webhook()) as webhook:
        yield _Trials(servers, cluster, shell, client, webhook, ports)


BENCHMARK = Benchmark("rollback", "webhook POST → rollback accepted by the API server", rounds=10, warmup=2, open=_open)
