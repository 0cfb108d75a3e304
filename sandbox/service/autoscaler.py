"""The autoscaler's status: what it would see and want, for want of a metrics server that could tell the real one.

Only the status: the sandbox runs no autoscaler that would act, as while KEDA is paused.
"""

import math
from collections.abc import Callable

import httpx

from sandbox.service.state import Snapshot

_MERGE = {"Content-Type": "application/merge-patch+json"}


class AutoscalerStatus:
    """Keeps the status of one HorizontalPodAutoscaler in step with the pods and their load."""

    def __init__(self, api: httpx.Client, namespace: str, name: str, utilisation: Callable[[int], float]) -> None:
        self._api = api
        self._path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"
        self._utilisation = utilisation

    def update(self, snapshot: Snapshot) -> None:
        """Write it; an autoscaler that is not there, or an API that is away, is left alone."""
        try:
            found = self._api.get(self._path)
            if found.is_error:
                return
            spec = found.json()["spec"]
            target = spec["metrics"][0]["resource"]["target"]["averageUtilization"] / 100
            current = snapshot.ready
            used = self._utilisation(current)
            wanted = current if math.isinf(used) else math.ceil(current * used / target)
            status = {
                "currentReplicas": len([pod for pod in snapshot.pods if not pod.terminating]),
                "desiredReplicas": max(spec["minReplicas"], min(spec["maxReplicas"], wanted)),
            }
            self._api.patch(f"{self._path}/status", json={"status": status}, headers=_MERGE)
        except httpx.HTTPError:
            return
