"""What a rollback goes back to, and what it leaves: pinned before anything is changed (runbook 4.2)."""

from pydantic import BaseModel

from activities.common.errors import NotFound, Refused
from activities.kubernetes.states import DeploymentState
from activities.records.deployments import Deployments
from activities.releases.helm import HelmRelease
from workflows.shared.releases import image_tag, last_good

_GOOD = {"deployed", "superseded"}


class Target(BaseModel):
    """One way back: a revision of the Deployment, or of its Helm release."""

    by_helm: bool
    from_version: str
    from_revision: int
    to_revision: int


def pin(
    state: DeploymentState, release: HelmRelease | None, deployments: Deployments | None, *,
    revision: int | None, helm_revision: int | None,
) -> Target:  # fmt: skip
    """Choose: the revision that was named, else the last good one; by Helm where what runs is what Helm released.

    Raises:
        NotFound: the named revision doesn't exist; lists those that do.
        Refused: there is nothing to go back to, or it is the current one.

    """
    if helm_revision is not None or (revision is None and release is not None and _owns(release, state)):
        return _by_helm(release, helm_revision)
    known = [r.number for r in state.revisions]
    if revision is None:
        good = last_good(state, deployments)
        if good is None:
            message = f"deployment/{state.name} has no earlier revision to go back to"
            raise Refused(message)
        revision = good.number
    if revision not in known:
        message = f"to_revision: deployment/{state.name} has no revision {revision}; it has: {_listed(known)}"
        raise NotFound(message)
    if revision == state.current_revision:
        message = f"to_revision: {revision} is the current revision ({image_tag(state.current)})"
        raise Refused(message)
    left = image_tag(state.current)
    return Target(by_helm=False, from_version=left, from_revision=state.current_revision, to_revision=revision)


def _owns(release: HelmRelease, state: DeploymentState) -> bool:
    """Tell whether what runs is what Helm released; after a change beside Helm, going back by Helm would miss it."""
    return len(release.revisions) > 1 and release.tag == image_tag(state.current)


def _by_helm(release: HelmRelease | None, wanted: int | None) -> Target:
    if release is None or release.current is None:
        message = "helm_revision: the service has no Helm release"
        raise NotFound(message)
    current = release.current.number
    earlier = [r for r in release.revisions if r.number != current]
    if wanted is None:
        good = [r.number for r in earlier if r.status in _GOOD]
        if not good:
            message = f"release {release.release} has no earlier good revision to go back to"
            raise Refused(message)
        wanted = max(good)
    if wanted == current:
        message = f"helm_revision: {wanted} is the current revision"
        raise Refused(message)
    if wanted not in {r.number for r in earlier}:
        known = _listed([r.number for r in release.revisions])
        message = f"helm_revision: release {release.release} has no revision {wanted}; it has: {known}"
        raise NotFound(message)
    # Helm's word, not the Deployment's: somebody may have undone the rollout already, beside Helm.
    return Target(by_helm=True, from_version=release.tag, from_revision=current, to_revision=wanted)


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"
