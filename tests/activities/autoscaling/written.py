"""Autoscalers as the API server writes them, made by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities.autoscaling.objects import HOLD, HorizontalPodAutoscaler, Marker, ScaledObject
from activities.kubernetes.api import FIELD_MANAGER

PAUSED, PAUSED_REPLICAS = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)


def metadata(annotations: dict[str, str], marker: Marker | None, managers: dict[str, Any]) -> dict[str, Any]:
    marked = {HOLD: marker.model_dump_json()} if marker else {}
    return {
        "name": "one",
        "namespace": "shop",
        "resourceVersion": "7",
        "annotations": {**annotations, **marked},
        "managedFields": [{"manager": name, "fieldsV1": fields} for name, fields in managers.items()],
    }


def scaled_object(
    annotations: dict[str, str] | None = None, marker: Marker | None = None, *managers: str
) -> ScaledObject:
    """One of KEDA's; `managers` have set its pause."""
    fields: dict[str, Any] = {"f:metadata": {"f:annotations": {f"f:{PAUSED}": {}}}}
    return ScaledObject({"metadata": metadata(annotations or {}, marker, dict.fromkeys(managers, fields))})


def hpa(
    minimum: int | None = 3, marker: Marker | None = None, *managers: str, most: int = 20
) -> HorizontalPodAutoscaler:
    """Kubernetes' own; `managers` have set its minimum."""
    spec = {"maxReplicas": most, **({"minReplicas": minimum} if minimum is not None else {})}
    fields: dict[str, Any] = {"f:spec": {"f:minReplicas": {}}}
    return HorizontalPodAutoscaler({"metadata": metadata({}, marker, dict.fromkeys(managers, fields)), "spec": spec})


def mark(before: str | None = None, held: str = "true", *, lease: str = "ours", until: datetime = UNTIL) -> Marker:
    return Marker(lease=lease, until=until, by="ada", workflow_id=f"run-{lease}", before=before, held=held)


OURS = FIELD_MANAGER
