"""A node of the test's own with all that a drain can meet: a Deployment, a bare pod, an emptyDir, a DaemonSet, a
static pod.
"""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx

from activities.kubernetes.isolation import LookAtSuspects
from tests.activities.kubernetes.on_cluster import eventually

MERGE = {"Content-Type": "application/merge-patch+json"}
LABELS = {"app": "suspect"}
_TAINT = "suspicious"


@dataclass
class Suspicious:
    """The node `name`, and pods on it in `namespace`, which the test has made."""

    kube: httpx.Client
    namespace: str
    name: str = field(default_factory=lambda: f"node-{secrets.token_hex(4)}")

    def create(self, *, replicas: int = 2) -> "Suspicious":
        """Make all of it, and wait until it runs."""
        # What tolerates the node's taint alone comes onto it.
        offers = {"cpu": "8", "memory": "32Gi", "pods": "110"}
        self._post(
            "/api/v1/nodes",
            {
                "metadata": {"name": self.name, "labels": {"of": self.name}},
                "spec": {"taints": [{"key": _TAINT, "value": self.name, "effect": "NoSchedule"}]},
                "status": {"allocatable": offers, "capacity": offers},
            },
        )
        # Pods that come before it is Ready go elsewhere.
        eventually(lambda: [taint["key"] for taint in self.node()["spec"]["taints"]] == [_TAINT] and self._ready())
        self._post(
            f"/apis/apps/v1/namespaces/{self.namespace}/deployments",
            {
                "metadata": {"name": "suspect"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": LABELS},
                    "template": {"metadata": {"labels": LABELS}, "spec": self._spec()},
                },
            },
        )
        self._post(
            f"/apis/apps/v1/namespaces/{self.namespace}/daemonsets",
            {
                "metadata": {"name": "agent"},
                "spec": {
                    "selector": {"matchLabels": {"app": "agent"}},
                    "template": {
                        "metadata": {"labels": {"app": "agent"}},
                        "spec": {**self._spec(), "affinity": {}, "nodeSelector": {"of": self.name}},
                    },
                },
            },
        )
        self.service()
        self.pod("bare")
        self.pod("scratch", volumes=[{"name": "scratch", "emptyDir": {}}])
        self.pod("static", annotations={"kubernetes.io/config.mirror": "abc", "kubernetes.io/config.source": "file"})
        eventually(lambda: len(self.here()) == replicas + 4 and all(map(_running, self.here())))
        return self

    def _ready(self) -> bool:
        return any(c["type"] == "Ready" and c["status"] == "True" for c in self.node()["status"].get("conditions", ()))

    def _spec(self) -> dict[str, Any]:
        spread = {"maxSkew": 9, "topologyKey": "none", "whenUnsatisfiable": "ScheduleAnyway"}
        prefers = {"matchExpressions": [{"key": "of", "operator": "In", "values": [self.name]}]}
        return {
            "containers": [{"name": "app", "image": "registry.example/suspect:v1"}],
            "initContainers": [{"name": "init", "image": "registry.example/suspect:v1"}],
            "tolerations": [{"key": _TAINT, "operator": "Equal", "value": self.name, "effect": "NoSchedule"}],
            # Without a rule of their own the scheduler would rather have them apart.
            "topologySpreadConstraints": [{**spread, "labelSelector": {"matchLabels": LABELS}}],
            "affinity": {
                "nodeAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": prefers}]
                }
            },
        }

    def service(self) -> None:
        self._post(
            f"/api/v1/namespaces/{self.namespace}/services",
            {"metadata": {"name": "suspect"}, "spec": {"selector": LABELS, "ports": [{"port": 80}]}},
        )

    def pod(self, name: str, *, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
        """Make one that no controller brings back."""
        return self._post(
            f"/api/v1/namespaces/{self.namespace}/pods",
            {
                "metadata": {"name": name, "annotations": annotations or {}, "labels": {"app": name}},
                "spec": {**self._spec(), "nodeName": self.name, **spec},
            },
        )

    def budget(self, *, least: int) -> None:
        """Have a PodDisruptionBudget, and wait until it counts."""
        path = f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets"
        body = {"metadata": {"name": "careful"}, "spec": {"minAvailable": least, "selector": {"matchLabels": LABELS}}}
        self._post(path, body)
        eventually(lambda: self.kube.get(f"{path}/careful").json().get("status", {}).get("currentHealthy", 0) >= least)

    def allow(self, least: int) -> None:
        path = f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets/careful"
        body = json.dumps({"spec": {"minAvailable": least}})
        self.kube.patch(path, headers=MERGE, content=body).raise_for_status()

    def here(self) -> list[dict[str, Any]]:
        """The pods on the node, by name."""
        found = self.kube.get("/api/v1/pods", params={"fieldSelector": f"spec.nodeName={self.name}"}).json()["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def suspects(self) -> list[str]:
        """The names of the Deployment's pods on the node."""
        return [p["metadata"]["name"] for p in self.here() if p["metadata"]["labels"].get("app") == LABELS["app"]]

    def read(self, name: str) -> dict[str, Any]:
        raw: dict[str, Any] = self.kube.get(f"/api/v1/namespaces/{self.namespace}/pods/{name}").json()
        return raw

    def node(self) -> dict[str, Any]:
        raw: dict[str, Any] = self.kube.get(f"/api/v1/nodes/{self.name}").raise_for_status().json()
        return raw

    def addresses(self) -> int:
        """How many pods the Service finds."""
        path = f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices"
        found = self.kube.get(path, params={"labelSelector": "kubernetes.io/service-name=suspect"}).json()["items"]
        return sum(len(each.get("endpoints") or ()) for each in found)

    def look(self, **fields: Any) -> LookAtSuspects:
        given: dict[str, Any] = {"nodes": [self.name], "pods": [], **fields}
        return LookAtSuspects(namespace=self.namespace, selector="app=suspect", **given)

    def remove(self) -> None:
        self.kube.delete(f"/api/v1/nodes/{self.name}")

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.kube.post(path, json=body)
        assert answer.is_success, answer.text
        raw: dict[str, Any] = answer.json()
        return raw


def _running(pod: dict[str, Any]) -> bool:
    return bool(pod["status"].get("phase") == "Running")
