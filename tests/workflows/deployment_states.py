"""A Deployment as Kubernetes shows it, with the revisions that a test gives it."""

from datetime import UTC, datetime

from activities.kubernetes.states import DeploymentState, Revision

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def state(*revisions: Revision, current: int = 0) -> DeploymentState:
    """Give one that runs its newest revision, or `current`."""
    return DeploymentState(
        name="api",
        namespace="shop",
        replicas=3,
        updated=3,
        ready=3,
        available=3,
        paused=False,
        current_revision=current or max(one.number for one in revisions),
        revisions=list(revisions),
        rolled_out_at=NOW,
    )
