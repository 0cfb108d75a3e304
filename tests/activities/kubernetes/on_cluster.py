"""A Deployment on the real cluster: looked at and changed from outside of our own client, as an engineer would."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from activities.common.effects import Effect
from activities.kubernetes.cluster import Workload
from sandbox import binaries
from tests.plugins.patience import HANGS

NAME = "tensafe-server"
GOOD, BAD = "registry.example/tensafe-server:v1.2.3", "registry.example/tensafe-server:v1.2.4"


def an_effect(*, dry_run: bool = False) -> Effect:
    """An effect of its own."""
    return Effect(key=f"p1/{uuid4()}/step", workflow_id="p1", run_id="r", actor="a@b.c", dry_run=dry_run)


HUNG = timedelta(seconds=HANGS)
"""What has not come about by then never does: a busy machine takes a minute for what a free one does at once."""


def eventually(probe: Callable[[], Any]) -> Any:
    """Wait for something true."""
    deadline = time.monotonic() + HUNG.total_seconds()
    while not (found := probe()):
        assert time.monotonic() < deadline, f"did not come about in time; last: {found!r}"
        time.sleep(0.05)
    return found


@dataclass
class OnCluster:
    """`tensafe-server` in a namespace of the test's own."""

    kube: httpx.Client
    kubeconfig: Path
    namespace: str
    name: str = NAME

    @property
    def workload(self) -> Workload:
        return Workload(namespace=self.namespace, deployment=self.name)

    @property
    def target(self) -> dict[str, Any]:
        return {"namespace": self.namespace, "deployment": self.name}

    @property
    def path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}"

    @property
    def raw(self) -> dict[str, Any]:
        raw: dict[str, Any] = self.kube.get(self.path).raise_for_status().json()
        return raw

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.raw["spec"]
        return spec

    @property
    def annotations(self) -> dict[str, str]:
        annotations: dict[str, str] = self.raw["metadata"]["annotations"]
        return annotations

    @property
    def image(self) -> str:
        return str(self.spec["template"]["spec"]["containers"][0]["image"])

    @property
    def revisions(self) -> dict[int, dict[str, Any]]:
        """Revision → ReplicaSet."""
        found = self.kube.get(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets").json()["items"]
        owned = [rs for rs in found if rs["metadata"]["ownerReferences"][0]["name"] == self.name]
        return {int(rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]): rs for rs in owned}

    def patch(self, patch: dict[str, Any]) -> None:
        """Change it as anybody may."""
        kind = {"Content-Type": "application/strategic-merge-patch+json"}
        self.kube.patch(self.path, headers=kind, content=json.dumps(patch)).raise_for_status()

    def release(self, image: str, cause: str = "") -> int:
        """Release an image, and wait until the controller has begun; gives the revision."""
        before = max(self.revisions)
        containers = [{"name": NAME, "image": image}]
        template = {"spec": {"containers": containers}}
        note = {"kubernetes.io/change-cause": cause or f"release {image.rpartition(':')[2]}"}
        self.patch({"metadata": {"annotations": note}, "spec": {"template": template}})

        def begun() -> int | None:
            """The controller numbers the ReplicaSet first, and the Deployment after it."""
            number = max(self.revisions)
            known = self.annotations["deployment.kubernetes.io/revision"] == str(number)
            return number if known and number > before else None

        return int(eventually(begun))

    def down(self) -> None:
        """Wait until all pods of a bad release crash, and the good ones before it are gone."""

        def crashed() -> bool:
            status = self.raw["status"]
            return status.get("readyReplicas", 0) == 0 and status["replicas"] == self.spec["replicas"]

        eventually(crashed)

    def settled(self) -> None:
        """Wait for a finished rollout."""

        def done() -> bool:
            raw = self.raw
            status, wanted = raw["status"], raw["spec"]["replicas"]
            seen = status.get("observedGeneration", 0) >= raw["metadata"]["generation"]
            return seen and status.get("availableReplicas", 0) == status.get("replicas", 0) == wanted

        eventually(done)

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl."""
        command = [binaries.find("kubectl"), f"--kubeconfig={self.kubeconfig}", "-n", self.namespace, *arguments]
        return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True).stdout
