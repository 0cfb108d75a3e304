"""A Deployment's ReplicaSets, as its rollout history."""

from activities.releases.helm import HelmRelease
from activities.releases.helm_cli import HelmRevision
from tests.workflows.deployment_states import NOW


def history(*lines: str, first: int = 1) -> HelmRelease:
    """`good`, `failed`, or the number that a rollback went back to."""
    revisions = [
        HelmRevision(
            number=number,
            status="failed" if line == "failed" else "superseded",
            chart="api-1.0.0",
            updated_at=NOW,
            description=f"Rollback to {line}" if line.isdecimal() else "Upgrade complete",
        )
        for number, line in enumerate(lines, start=first)
    ]
    return HelmRelease(release="api", namespace="shop", revisions=revisions, tag="v1")
