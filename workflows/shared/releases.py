"""Releases of a service: how they are named, and which one was good."""

from activities.kubernetes.states import DeploymentState, Revision
from activities.records.deployments import Deployments


def last_good(state: DeploymentState, deployments: Deployments | None) -> Revision | None:
    """Pin what a rollback goes back to: the newest earlier revision whose release isn't known to be bad."""
    bad = {d.version for d in deployments.items if d.status in {"failed", "rolled_back"}} if deployments else set()
    earlier = [r for r in state.revisions if r.number != state.current_revision]
    for revision in sorted(earlier, key=lambda r: r.number, reverse=True):
        if not any(image.rpartition(":")[2] in bad for image in revision.images):
            return revision
    return None


def image_tag(revision: Revision | None) -> str:
    """Name a revision as people do: by its image's tag."""
    return revision.images[0].rpartition(":")[2] if revision and revision.images else "unknown"
