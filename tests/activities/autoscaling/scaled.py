"""The autoscalers of `tensafe-server` on the real cluster, looked at and changed as anybody may."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from activities.autoscaling.autoscalers import HoldAutoscaler, Kind, ReleaseAutoscaler, RenewHold
from activities.autoscaling.objects import HOLD, Marker
from activities.common.effects import Effect
from tests.activities.kubernetes.on_cluster import OnCluster

SCALED_OBJECT, HPA = "tensafe-scaledobject", "tensafe-server"
PAUSED, PAUSED_REPLICAS = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"

_PATHS: dict[Kind, str] = {
    "ScaledObject": "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects/" + SCALED_OBJECT,
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/" + HPA,
}


@dataclass
class Scaled:
    """One of the two autoscalers."""

    server: OnCluster
    kind: Kind

    @property
    def name(self) -> str:
        return SCALED_OBJECT if self.kind == "ScaledObject" else HPA

    @property
    def path(self) -> str:
        return _PATHS[self.kind].format(self.server.namespace)

    @property
    def raw(self) -> dict[str, Any]:
        raw: dict[str, Any] = self.server.kube.get(self.path).raise_for_status().json()
        return raw

    @property
    def annotations(self) -> dict[str, str]:
        annotations: dict[str, str] = self.raw["metadata"].get("annotations") or {}
        return annotations

    @property
    def value(self) -> str | int | None:
        """What a hold changes."""
        return self.annotations.get(PAUSED) if self.kind == "ScaledObject" else self.raw["spec"]["minReplicas"]

    @property
    def marker(self) -> Marker | None:
        text = self.annotations.get(HOLD)
        return Marker.model_validate_json(text) if text else None

    def kubectl(self, verb: Literal["annotate", "patch"], *arguments: str) -> None:
        """Change it by kubectl."""
        self.server.kubectl(verb, self.kind.lower(), self.name, *arguments)

    def patch(self, body: dict[str, Any]) -> None:
        """Change it by kubectl, with a merge patch."""
        self.kubectl("patch", "--type=merge", f"--patch={json.dumps(body)}")

    def annotate(self, annotation: str, value: str | None) -> None:
        """Set or remove an annotation by kubectl."""
        self.kubectl("annotate", "--overwrite", f"{annotation}-" if value is None else f"{annotation}={value}")

    def delete(self) -> None:
        self.server.kube.delete(self.path).raise_for_status()

    def hold(self, lease: str, until: datetime, effect: Effect, *, floor: int = 8) -> HoldAutoscaler:
        names = {"scaled_object": SCALED_OBJECT} if self.kind == "ScaledObject" else {"hpa": HPA}
        return HoldAutoscaler(
            namespace=self.server.namespace, lease=lease, until=until, floor=floor, effect=effect, **names
        )

    def renew(self, lease: str, until: datetime, effect: Effect) -> RenewHold:
        where = {"namespace": self.server.namespace, "kind": self.kind, "name": self.name}
        return RenewHold(**where, lease=lease, until=until, effect=effect)

    def release(self, lease: str, effect: Effect) -> ReleaseAutoscaler:
        where = {"namespace": self.server.namespace, "kind": self.kind, "name": self.name}
        return ReleaseAutoscaler(**where, lease=lease, effect=effect)
