"""What the cluster says about the service right now, kept up to date by two watches."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import httpx

from sandbox import kubernetes_api

DatabaseStatus = Literal["ok", "read-only", "unreachable"]


@dataclass(frozen=True)
class Pod:
    """One pod of the service, as its status says."""

    name: str
    tag: str
    ready: bool
    restarts: int
    terminating: bool

    @classmethod
    def of(cls, item: dict[str, Any]) -> "Pod":
        """Read the API's form of it."""
        status = item.get("status", {})
        conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
        return cls(
            name=item["metadata"]["name"],
            tag=item["spec"]["containers"][0]["image"].rpartition(":")[2],
            ready=conditions.get("Ready") == "True",
            restarts=sum(c.get("restartCount", 0) for c in status.get("containerStatuses", ())),
            terminating="deletionTimestamp" in item["metadata"],
        )


@dataclass(frozen=True)
class Snapshot:
    """The service at one moment.

    `desired` is None until the Deployment has been seen, `database` where it has none or it has not been tried yet.
    """

    desired: int | None = None
    pods: tuple[Pod, ...] = ()
    database: DatabaseStatus | None = None

    @property
    def ready(self) -> int:
        """How many pods take requests."""
        return sum(pod.ready and not pod.terminating for pod in self.pods)

    @property
    def version(self) -> str | None:
        """Image tag of most of the pods that take requests, or else of most of those that should."""
        serving = [pod.tag for pod in self.pods if pod.ready and not pod.terminating]
        tags = Counter(serving or [pod.tag for pod in self.pods if not pod.terminating])
        return tags.most_common(1)[0][0] if tags else None

    @property
    def status(self) -> str:
        """healthy, degraded or unhealthy."""
        if self.desired is None or self.ready == 0 or self.database == "unreachable":
            return "unhealthy"
        return "healthy" if self.ready >= self.desired and self.database != "read-only" else "degraded"


class ServiceState:
    """Follows one Deployment and its pods; when the API is away, the last that was seen holds."""

    def __init__(self, api: httpx.Client, namespace: str, deployment: str) -> None:
        self._api = api
        self._namespace = namespace
        self._deployment = deployment
        self._lock = threading.Lock()
        self._snapshot = Snapshot()
        self._stop = threading.Event()
        self._selector_known = threading.Event()
        self._selector = ""
        self._changed = threading.Event()
        self._listeners: list[Callable[[Snapshot], None]] = []

    @property
    def now(self) -> Snapshot:
        """The latest that is known."""
        with self._lock:
            return self._snapshot

    def on_change(self, listener: Callable[[Snapshot], None]) -> None:
        """Call the listener after changes, with the latest snapshot; a slow one does not hold up the watches."""
        self._listeners.append(listener)

    def tell_database(self, status: DatabaseStatus) -> None:
        """Note how the database is; whoever tries it says so."""
        if status != self.now.database:
            self._update(database=status)

    def start(self) -> None:
        """Begin to follow, in threads that end with the process."""
        for target in (self._follow_deployment, self._follow_pods, self._tell):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()

    def stop(self) -> None:
        """Stop following at the next change."""
        self._stop.set()
        self._changed.set()

    def _tell(self) -> None:
        while not self._stop.is_set():
            self._changed.wait()
            self._changed.clear()
            for listener in self._listeners:
                listener(self.now)

    def _follow_deployment(self) -> None:
        path = f"/apis/apps/v1/namespaces/{self._namespace}/deployments"
        name = {"fieldSelector": f"metadata.name={self._deployment}"}
        for found in kubernetes_api.follow(self._api, path, name, self._stop):
            spec = found.get(self._deployment, {}).get("spec")
            if spec is not None:
                self._selector = ",".join(f"{k}={v}" for k, v in spec["selector"]["matchLabels"].items())
                self._selector_known.set()
            self._update(desired=spec["replicas"] if spec is not None else None)

    def _follow_pods(self) -> None:
        self._selector_known.wait()
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        for found in kubernetes_api.follow(self._api, path, {"labelSelector": self._selector}, self._stop):
            self._update(pods=tuple(Pod.of(item) for item in found.values()))

    def _update(self, **changes: Any) -> None:
        with self._lock:
            self._snapshot = replace(self._snapshot, **changes)
        self._changed.set()
