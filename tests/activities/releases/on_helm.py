"""A Helm release on the real cluster, looked at and changed by the real `helm`, as an engineer would."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
from kubernetes import client
from temporalio import activity
from temporalio.testing import ActivityEnvironment

from activities.common.effects import Effect
from activities.releases.helm import Helm, RollbackRelease, UpgradeRelease
from activities.releases.helm_pods import ReleasePods
from activities.releases.helm_records import SAID
from sandbox import manifests
from tests.activities.kubernetes.on_cluster import HUNG, OnCluster, an_effect, eventually

_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")

TOO_BIG = {"cpu": "100"}
"""Values with which no node has room for a pod: it never becomes ready, and never fails."""


@dataclass
class OnHelm:
    """Release `tensafe` in a namespace of the test's own, at revision 1 (v1.2.3)."""

    helm: Helm
    server: OnCluster
    chart: Path
    api: client.ApiClient
    environments: list[ActivityEnvironment] = field(default_factory=list)

    @property
    def where(self) -> dict[str, str]:
        return {"namespace": self.server.namespace, "release": manifests.RELEASE}

    def upgrade(self, version: str, *, effect: Effect | None = None, **changes: Any) -> UpgradeRelease:
        """Ask for an upgrade from revision 1."""
        asked = {
            **self.where,
            "chart": str(self.chart),
            "tag_value": "image.tag",
            "version": version,
            "from_revision": 1,
            "timeout": HUNG,
            "effect": effect or an_effect(),
        }
        return UpgradeRelease(**{**asked, **changes})

    def rollback(self, *, effect: Effect | None = None, **changes: Any) -> RollbackRelease:
        """Ask for a rollback from revision 2 to 1."""
        asked = {**self.where, "from_revision": 2, "to_revision": 1, "timeout": HUNG}
        return RollbackRelease(**{**asked, "effect": effect or an_effect(), **changes})

    def run(self, method: Callable[[_Request], _Answer], request: _Request, *, attempt: int = 1) -> _Answer:
        """Run an activity as a worker does."""
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, attempt=attempt)
        self.environments.append(environment)
        return environment.run(method, request)

    def cancel(self, **details: bool) -> None:
        """Cancel what runs last; without details as a workflow does."""
        asked = activity.ActivityCancellationDetails(**details or {"cancel_requested": True})
        self.environments[-1].cancel(asked)

    def cli(self, *arguments: str) -> str:
        """Run Helm beside us, as somebody else."""
        return manifests.helm(self.server.kubeconfig, self.server.namespace, *arguments)

    def release(self, version: str, *options: str) -> None:
        """Release a version as somebody else."""
        self.cli("upgrade", "tensafe", str(self.chart), f"--set-string=image.tag={version}", *options)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody create pods, so that Helm waits; it goes on afterwards."""
        quotas = f"/api/v1/namespaces/{self.server.namespace}/resourcequotas"
        quota = {"metadata": {"name": "hold"}, "spec": {"hard": {"pods": "0"}}}
        made = self.server.kube.post(quotas, json=quota).raise_for_status().json()
        # The API server goes by the status, which a controller writes that this cluster doesn't run; and it needs a
        # moment to know of it.
        counted = {**made, "status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}}
        self.server.kube.put(f"{quotas}/hold/status", json=counted).raise_for_status()
        eventually(self._refused)
        try:
            yield
        finally:
            self.server.kube.delete(f"{quotas}/hold").raise_for_status()

    def left_marks(self) -> list[str]:
        """Name the revisions that say something else than they did."""
        secrets, ours = f"/api/v1/namespaces/{self.server.namespace}/secrets", {"labelSelector": "owner=helm"}
        found = self.server.kube.get(secrets, params=ours).raise_for_status().json()["items"]
        return [item["metadata"]["name"] for item in found if SAID in item["data"]]

    def _refused(self) -> bool:
        pods = f"/api/v1/namespaces/{self.server.namespace}/pods"
        containers = [{"name": "probe", "image": "probe"}]
        pod = {"metadata": {"name": "probe"}, "spec": {"containers": containers, "schedulerName": "none"}}
        if self.server.kube.post(pods, json=pod).status_code == httpx.codes.FORBIDDEN:
            return True
        self.server.kube.delete(f"{pods}/probe", params={"gracePeriodSeconds": 0})
        return False

    def unschedulable(self) -> None:
        """Wait until the scheduler has said of all new pods that they have no room."""
        pods = ReleasePods(self.api)
        eventually(lambda: pods.trouble(**self.where) == "3 × Unschedulable")

    def wait_pending(self) -> None:
        """Wait until Helm has begun, and with it the rollout."""
        secrets, wanted = f"/api/v1/namespaces/{self.server.namespace}/secrets", {"labelSelector": "owner=helm"}

        def begun() -> bool:
            found = self.server.kube.get(secrets, params=wanted).raise_for_status().json()["items"]
            return any(item["metadata"]["labels"]["status"].startswith("pending-") for item in found)

        eventually(begun)

    @property
    def history(self) -> list[tuple[int, str]]:
        return [(line["revision"], line["status"]) for line in self._lines]

    @property
    def descriptions(self) -> list[str]:
        return [line["description"] for line in self._lines]

    @property
    def _lines(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = json.loads(self.cli("history", "tensafe", "--output=json"))
        return lines


class Background(threading.Thread):
    """A call that goes on beside the test; `end` gives what came of it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._answer: Any = None
        self._failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._answer = self._call()
        except BaseException as failure:  # noqa: BLE001 - raised again by `end`
            self._failure = failure

    def end(self) -> Any:
        self.join(2 * HUNG.total_seconds())
        assert not self.is_alive(), "did not end in time"
        if self._failure is not None:
            raise self._failure
        return self._answer
