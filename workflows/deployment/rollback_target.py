"""What a rollback goes back to, and what it leaves: pinned before anything is changed (runbook 4.2)."""

import re
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, Field

from activities.common.effects import Effect
from activities.common.errors import NotFound, Refused
from activities.releases.helm import HelmRelease
from activities.releases.helm_cli import HelmRevision
from audit.text import length
from workflows.platform.resets import Earlier
from workflows.shared.releases import Releases

_GOOD = {"deployed", "superseded"}
_SECOND = timedelta(seconds=1)
_ROLLED_BACK = re.compile(r"Rollback to (\d+)")
"""How Helm describes the revision that a rollback makes."""


class Target(BaseModel):
    """One way back: a revision of the Deployment, or of its Helm release."""

    by_helm: bool
    from_version: str
    from_revision: int
    to_revision: int
    chosen: bool = False
    """Nobody named it."""

    in_doubt: list[str] = Field(default_factory=list)
    """Newer ones that it passes over, or itself, where nobody knows whether they are good."""


@dataclass(frozen=True)
class Problem:
    """What was found, and the way back that was chosen."""

    releases: Releases
    target: Target
    effect: Effect
    earlier: Earlier | None
    """What this run had done already, before somebody reset it."""

    well: bool
    """Nothing is to be seen of a problem."""

    seen: str


def pin(
    releases: Releases,
    release: HelmRelease | None,
    *,
    revision: int | None,
    helm_revision: int | None,
    by_one_name: bool = True,
) -> Target:
    """Choose: the revision that was named, else the last good one; by Helm where what runs is what Helm released.

    Helm knows a release by one image of several, and perhaps with a digest, and what is known of a version is known of
    one release. Runs from before didn't go `by_one_name`.

    Raises:
        NotFound: the named revision doesn't exist; lists those that do.
        Refused: there is nothing to go back to, or it is the current one.

    """
    state = releases.state
    owned = release is not None and _owns(release, releases, by_one_name=by_one_name)
    if helm_revision is not None or (revision is None and owned):
        return _by_helm(release, helm_revision, releases, by_one_name=by_one_name)
    chosen = revision is None
    known = [r.number for r in state.revisions]
    if revision is None:
        good = releases.last_good
        if good is None:
            unwanted = ", ".join(releases.unwanted)
            left = f": {unwanted} failed, or was left before. Name one with to_revision" if unwanted else ""
            raise Refused(f"deployment/{state.name} has no earlier release to go back to{left}")
        revision = good.number
    if revision not in known:
        raise NotFound(f"to_revision: deployment/{state.name} has no revision {revision}; it has: {_listed(known)}")
    if revision == state.current_revision:
        raise Refused(f"to_revision: {revision} is the current revision ({releases.current})")
    left = releases.current
    return Target(
        by_helm=False,
        from_version=left,
        from_revision=state.current_revision,
        to_revision=revision,
        chosen=chosen,
        in_doubt=releases.in_doubt if chosen else [],
    )


def _owns(release: HelmRelease, releases: Releases, *, by_one_name: bool) -> bool:
    """Tell whether what runs is what Helm released; after a change beside Helm, going back by Helm would miss it."""
    runs = releases.runs(release.version) if by_one_name else release.tag == releases.current
    return len(release.revisions) > 1 and runs


def _by_helm(release: HelmRelease | None, wanted: int | None, releases: Releases, *, by_one_name: bool) -> Target:
    if release is None or release.current is None:
        raise NotFound("helm_revision: the service has no Helm release")
    if release.uninstalled:
        raise Refused(release.uninstalled)
    current = release.current.number
    earlier = [r for r in release.revisions if r.number != current]
    chosen, in_doubt = wanted is None, list[str]()
    if wanted is None:
        left = _left_by_helm(release.revisions) | _to_blame(release, releases)
        good = [r.number for r in earlier if r.status in _GOOD and r.number not in left]
        if not good:
            others = sorted(left - {current})
            raise Refused(
                f"release {release.release} has no earlier good revision to go back to"
                + (f": {_listed(others)} failed, or was left before. Name one with helm_revision" if others else "")
            )
        wanted, in_doubt = _proven(good, release, releases, by_one_name=by_one_name)
    if wanted == current:
        raise Refused(f"helm_revision: {wanted} is the current revision")
    if wanted not in {r.number for r in earlier}:
        known = _listed([r.number for r in release.revisions])
        raise NotFound(f"helm_revision: release {release.release} has no revision {wanted}; it has: {known}")
    # Helm's word, not the Deployment's: somebody may have undone the rollout already, beside Helm.
    return Target(
        by_helm=True,
        from_version=release.version,
        from_revision=current,
        to_revision=wanted,
        chosen=chosen,
        in_doubt=in_doubt,
    )


def _proven(good: list[int], release: HelmRelease, releases: Releases, *, by_one_name: bool) -> tuple[int, list[str]]:
    """Choose the newest that was in force for long enough, where there is one; say which ones that passes over."""
    short: dict[int, str] = {}
    for one in release.revisions:
        known = [version for version in one.versions if not by_one_name or _alone(version, release)]
        seen = any(releases.seen_complete(version) for version in known)
        others = (
            r for r in release.revisions if r.number > one.number and not (r.contents and r.contents == one.contents)
        )
        ended = next((other.updated_at for other in others), None)
        if ended is None:
            continue
        lasted = ended - one.updated_at
        copied = _ROLLED_BACK.fullmatch(one.description)  # somebody chose it
        if one.number in good and not (seen or copied) and lasted < releases.proven_after:
            which = f"{', '.join(one.versions) or release.release} (Helm revision {one.number})"
            short[one.number] = f"{which}: it was in force for {length(timedelta(seconds=lasted // _SECOND))} only"
    chosen = max([number for number in good if number not in short] or good)
    return chosen, [why for number, why in sorted(short.items(), reverse=True) if number > chosen]


def _left_by_helm(revisions: list[HelmRevision]) -> set[int]:
    """Give the revisions that somebody left, and what is the same as the current one.

    Helm's rollback makes a new revision that says which one it is a copy of; that one may be gone by now. What runs the
    same as an earlier one is that one released again, by whatever means.
    """
    origin: dict[int, int] = {}
    first: dict[str, int] = {}
    for one in revisions:
        copied = _ROLLED_BACK.fullmatch(one.description)
        same = first.setdefault(one.contents, one.number) if one.contents else one.number
        origin[one.number] = origin.get(int(copied[1]), int(copied[1])) if copied else origin.get(same, same)
    current = origin[revisions[-1].number]
    last = revisions[-1].number
    # What came before it was not left for it: it is released once more.
    return {number for number, of in origin.items() if of == current or current < of <= number < last}


def _to_blame(release: HelmRelease, releases: Releases) -> set[int]:
    """Give the revisions of which the records say that they failed or were rolled back.

    A version says that of a revision only where there is one release of it, and where it isn't the one in force.
    """
    found = set()
    for one in release.revisions:
        for version in one.versions:
            if version != release.version and _alone(version, release) and releases.version_to_blame(version):
                found.add(one.number)
    return found


def _alone(version: str, release: HelmRelease) -> bool:
    """Tell whether there is one release of a version: what is said of it is of that one."""
    return len({one.contents for one in release.revisions if version in one.versions}) == 1


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"
