"""What the tests of autoscalers ask for, and what they find."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities.autoscaling.autoscalers import HoldAutoscaler, Release
from activities.autoscaling.objects import HOLD
from tests.activities.autoscaling.scaled import Scaled
from tests.activities.kubernetes.on_cluster import an_effect

EARLIER = "done by an earlier attempt"
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
FREE = {"ScaledObject": None, "HorizontalPodAutoscaler": 3}
HELD = {"ScaledObject": "true", "HorizontalPodAutoscaler": 8}
SAID = {"ScaledObject": ("active", "paused"), "HorizontalPodAutoscaler": ("minReplicas 3", "minReplicas 8")}


def hold(scaled: Scaled, lease: str = "lease", **options: Any) -> HoldAutoscaler:
    return scaled.hold(lease, options.pop("until", UNTIL), options.pop("effect", an_effect()), **options)


def release(scaled: Scaled, lease: str = "lease", **options: Any) -> Any:
    return scaled.release(lease, an_effect(**options))


def terminated(scaled: Scaled, ago: timedelta, **changes: Any) -> None:
    """Rewrite the mark to one of another run that should have released it some time ago."""
    assert scaled.marker is not None
    gone = {"lease": "theirs", "workflow_id": "scale/other", "until": datetime.now(UTC) - ago, **changes}
    scaled.server.kube.patch(
        scaled.path,
        params={"fieldManager": "durable-runbooks"},
        headers={"Content-Type": "application/merge-patch+json"},
        json={"metadata": {"annotations": {HOLD: scaled.marker.model_copy(update=gone).model_dump_json()}}},
    ).raise_for_status()


def theirs(released: Release, who: str) -> None:
    assert (released.resumed, released.applied) == (False, True)
    assert released.note == f"changed by {who} meanwhile, and left as they want it"
