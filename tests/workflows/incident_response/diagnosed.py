"""What diagnosis sees: a service that is well, one that is down."""

from datetime import UTC, datetime

from activities.kubernetes.states import Pod, Pods
from activities.monitoring.health import Health

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)


def pods(*reasons: str, phase: str = "Running") -> Pods:
    return Pods(
        items=[
            Pod(name=f"p{n}", phase=phase, ready=not reason, restarts=0, reason=reason, image="x:v2", created_at=NOW)
            for n, reason in enumerate(reasons)
        ]
    )


DOWN = Health(status="unhealthy", milliseconds=1)


WELL = Health(status="healthy", milliseconds=1)
