"""Many ScaledObjects of one namespace: made, and watched from outside for being paused and resumed."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from bench.watch import GIVEN_UP_AFTER
from sandbox import kubernetes_api

PAUSED = "autoscaling.keda.sh/paused"
_HOLD = "runbooks.dev/hold"
_CONNECTIONS = 4


class ScaledObjects:
    """They all name the same Deployment; KEDA is not there, so nothing acts on them."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._kubeconfig = kubeconfig
        self._path = f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects"
        self._watching = threading.Event()
        self.until: dict[str, datetime] = {}
        """When the lease ends that is written on one, by name."""
        self.resumed: dict[str, float] = {}
        """When one was seen to be resumed (`time.time`), by name."""
        self._paused: set[str] = set()

    def create(self, names: list[str], *, annotations: dict[str, str] | None = None) -> None:
        """Make them."""
        with kubernetes_api.connect(self._kubeconfig) as api, ThreadPoolExecutor(_CONNECTIONS) as pool:
            for answer in pool.map(lambda name: self._post(api, name, annotations or {}), names):
                answer.raise_for_status()

    def _post(self, api: httpx.Client, name: str, annotations: dict[str, str]) -> httpx.Response:
        trigger = {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 6 * * *", "end": "0 20 * * *"}}
        body = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"scaleTargetRef": {"name": "tensafe-server"}, "triggers": [trigger]},
        }
        return api.post(self._path, json=body)

    def watch(self) -> None:
        """Begin to watch; whoever waits in vain for what it should see must give up by itself."""
        threading.Thread(target=self._follow, daemon=True).start()
        if not self._watching.wait(GIVEN_UP_AFTER):
            raise RuntimeError(f"no watch on {self._path} in {GIVEN_UP_AFTER:g} s")

    def _follow(self) -> None:
        # Not `kubernetes_api.follow`: it gives all objects anew with every change, and these are too many.
        with kubernetes_api.connect(self._kubeconfig) as api:
            since = api.get(self._path, params={"limit": 1}).raise_for_status().json()["metadata"]["resourceVersion"]
            params = {"watch": "true", "resourceVersion": since, "timeoutSeconds": "7200"}
            with api.stream("GET", self._path, params=params, timeout=httpx.Timeout(10, read=None)) as events:
                events.raise_for_status()
                self._watching.set()
                with suppress(httpx.HTTPError):  # the cluster has been stopped
                    for line in events.iter_lines():
                        self._see(json.loads(line)["object"]["metadata"])

    def _see(self, metadata: dict[str, Any]) -> None:
        name, annotations = metadata["name"], metadata.get("annotations", {})
        if PAUSED in annotations:
            self._paused.add(name)
            if _HOLD in annotations:
                self.until[name] = datetime.fromisoformat(json.loads(annotations[_HOLD])["until"])
        elif name in self._paused:
            self.resumed.setdefault(name, time.time())
