"""Releases of a Deployment: what one is, what it is called, which were left, and which was good.

A release is a pod template: two revisions are the same release where their templates differ in nothing but the mark of
a `rollout restart`. It is called by the images of the *application's* containers: the one that settings name, else
those whose image ever changed; a sidecar's version names nobody's release.

What was left is read from the Deployment itself: where a release came before another one and is in force again after
it, whoever went back left the one in between on purpose. That needs no records, so an outage of theirs doesn't lead
back to it. The records say more: which release failed, was rolled back, or was complete.

A release that was bad and followed by another bad one has no record of its own. So it counts how long a release was in
force, whether the outage began in that time, and whether its pods fail.
"""

from datetime import datetime, timedelta
from enum import IntEnum

from activities.kubernetes.images import parse
from activities.kubernetes.states import DeploymentState, Pod, Pods, Revision
from activities.records.deployments import Deployment, Deployments
from audit.text import length

_BLAMED = {"failed", "rolled_back"}
PROVEN_AFTER = timedelta(minutes=30)


class Doubt(IntEnum):
    """How much speaks against a release that nobody has left or found to blame."""

    NONE = 0
    SHORT = 1
    """It was in force for too short a time to be called good, and no run has seen it complete."""
    SUSPECT = 2
    """The outage began while it was in force, or none of its pods is ready and some fail."""


class Releases:
    """The releases that a Deployment still has, beside what the records say of them."""

    def __init__(
        self,
        state: DeploymentState,
        deployments: Deployments | None = None,
        *,
        container: str | None = None,
        proven_after: timedelta = PROVEN_AFTER,
        since: datetime | None = None,
        pods: Pods | None = None,
    ) -> None:
        """Take `container` from the service's settings: where its image is. The outage has lasted `since` then."""
        self.state = state
        self.proven_after, self._unwell_since, self._pods = proven_after, since, pods
        self._records = deployments.items if deployments else []
        self._application = _application(state.revisions, container)

    # -- names -------------------------------------------------------------------------------------------------

    def version(self, revision: Revision | None) -> str:
        """Name a release as people do, for example `v1.2.4`."""
        if revision is None or not revision.images:
            return "unknown"
        return ", ".join(self._names(revision))

    def runs(self, version: str) -> bool:
        """Tell whether what is in force is called so, by whoever released it: they may name one image of several."""
        current = self.state.current
        return current is not None and version in {self.version(current), *self._names(current)}

    def _names(self, revision: Revision) -> list[str]:
        containers = _containers(revision)
        images = [image for name, image in containers.items() if name in self._application] or [*containers.values()]
        return [*dict.fromkeys(parse(image).shown for image in images)]

    def _called(self, version: str) -> list[Revision]:
        """Give the revisions that somebody means by a version: where none has just that name, it is one image's."""
        exactly = [one for one in self.state.revisions if self.version(one) == version]
        return exactly or [one for one in self.state.revisions if version in self._names(one)]

    @property
    def current(self) -> str:
        """What is in force is called."""
        return self.version(self.state.current)

    # -- which are the same ------------------------------------------------------------------------------------

    def same(self, one: Revision, other: Revision) -> bool:
        """Tell whether two revisions are one release, restarted or gone back to."""
        if one.template and other.template:
            return one.template == other.template
        if one.pod_template_hash and one.pod_template_hash == other.pod_template_hash:
            return True
        # Without templates the images must do; they can't where one tag stands for whatever was there.
        return one.images == other.images and all(parse(image).fixed for image in one.images)

    def was_left(self, revision: Revision) -> bool:
        """Tell whether somebody went back from it: what is in force now came before it, and is in force again.

        A release that came later and is released once more is no way back, and leaves nothing.
        """
        current = self.state.current
        if current is None or self.same(revision, current):
            return False
        in_force, its = self._numbers_of(current), self._numbers_of(revision)
        if min(its) < min(in_force):
            return False
        return any(min(in_force) < number < max(in_force) for number in its)

    @property
    def returned(self) -> bool:
        """Whether what is in force was gone back to from what was there just before: nothing new has been released.

        What was left longer ago says nothing: a release that was gone back to once may be released anew, from an older
        one.
        """
        current = self.state.current
        if current is None:
            return False
        since = self._since(current)
        before = [
            (max(numbers), revision)
            for revision in self.state.revisions
            if not self.same(revision, current)
            if (numbers := [number for number in _numbers(revision) if number < since])
        ]
        return bool(before) and self.was_left(max(before, key=lambda one: one[0])[1])

    @property
    def released_at(self) -> datetime | None:
        """When the release in force came; None where it is the only one there is, or was gone back to.

        Restarts since then made it no younger.
        """
        current = self.state.current
        if current is None or len(self.state.revisions) <= 1 or self.returned:
            return None
        since = self._since(current)
        first = next(one for one in self._of(current) if since in _numbers(one))
        # What was in force before under another number has an older ReplicaSet: only its rollout tells.
        return (
            first.created_at if since == min(_numbers(first)) and since != current.number else self.state.rolled_out_at
        )

    def failing(self, pods: Pods | None) -> list[Pod]:
        """Give the failing pods of the release in force; while a rollout goes on, the old one's fail beside it."""
        known = self.state.current.pod_template_hash if self.state.current else ""
        return [
            pod
            for pod in (pods.items if pods else [])
            if pod.failing and not pod.terminating and (not known or pod.revision_hash in {"", known})
        ]

    # -- what is known of them ---------------------------------------------------------------------------------

    def to_blame(self, revision: Revision) -> bool:
        """Tell whether the records' last word on a release is that it failed or was rolled back."""
        return self._last_word(revision) in _BLAMED

    def _last_word(self, revision: Revision) -> str:
        """Give what the records say of a release last; empty where they say nothing."""
        ended = (one.status for one in self._records if one.status != "started" and self._about(one, revision))
        return next(ended, "")

    def version_to_blame(self, version: str) -> bool:
        """Tell it by a version's name alone, of what the Deployment doesn't have any more."""
        return self._last_word_on(version) in _BLAMED

    def seen_complete(self, version: str) -> bool:
        """Tell by a version's name alone whether a run has seen it complete."""
        return self._last_word_on(version) == "complete"

    def _last_word_on(self, version: str) -> str:
        return next((one.status for one in self._records if one.status != "started" and one.version == version), "")

    def _about(self, record: Deployment, revision: Revision) -> bool:
        if record.release and revision.template:
            return record.release == revision.template
        namesakes = self._called(record.version)
        if revision not in namesakes:
            return False
        if all(self.same(one, revision) for one in namesakes):
            return True
        return record.revision in _numbers(revision)

    @property
    def last_good(self) -> Revision | None:
        """Pin what a rollback goes back to: the newest other release that was neither left nor found to blame.

        Where something speaks against it, an older one that was proven comes first.
        """
        return min(self._candidates, key=lambda one: self.doubt(one)[0], default=None)

    @property
    def in_doubt(self) -> list[str]:
        """Say of which releases that are newer than the last good one, or of that itself, nobody knows them to be good.

        Where there are any, no rollback is done unasked: the newest may well have been bad without anybody's word.
        """
        good = self.last_good
        told = []
        for one in self._candidates:
            how, why = self.doubt(one)
            if good is not None and (one.number > good.number or (one is good and how is Doubt.SUSPECT)):
                told.append(f"{self.version(one)} (revision {one.number}): {why}")
        return told

    def doubt(self, revision: Revision) -> tuple[Doubt, str]:
        """Judge a release by how it served: what was bad for five minutes and left by another one has no record."""
        pods = [one for one in (self._pods.items if self._pods else []) if one.revision_hash]
        its = [one for one in pods if one.revision_hash == revision.pod_template_hash and not one.terminating]
        if any(one.failing for one in its) and not any(one.ready for one in its):
            return Doubt.SUSPECT, "none of its pods is ready, and some fail"
        served = self._in_force(revision)
        if served is None:
            return Doubt.NONE, ""
        began, ended = served
        if self._unwell_since is not None and began <= self._unwell_since < ended:
            return Doubt.SUSPECT, f"it was in force when the outage began, at {self._unwell_since:%H:%M:%S %Z}"
        if ended - began < self.proven_after and self._last_word(revision) != "complete":
            return (
                Doubt.SHORT,
                f"it was in force for {length(timedelta(seconds=round((ended - began).total_seconds())))} only",
            )
        return Doubt.NONE, ""

    @property
    def _candidates(self) -> list[Revision]:
        """Give the other releases that were neither left nor found to blame, newest first."""
        current = self.state.current
        return [
            one
            for one in sorted(self.state.revisions, key=lambda one: one.number, reverse=True)
            if current is None or not (one.number == current.number or self.same(one, current))
            if not self.was_left(one) and not self.to_blame(one)
        ]

    def _in_force(self, revision: Revision) -> tuple[datetime, datetime] | None:
        """Give from when until when a release was; None of what was gone back to, and where nothing says when it ended.

        A ReplicaSet is made when its release comes. Of a way back it says no time, but that somebody chose it.
        """
        numbers, same = self._numbers_of(revision), self._of(revision)
        others = [one for one in self.state.revisions if not self.same(one, revision)]
        if any(min(numbers) < number < max(numbers) for one in others for number in _numbers(one)):
            return None
        began = min(one.created_at for one in same)
        later = [one.created_at for one in others if min(_numbers(one)) > max(numbers) and one.created_at >= began]
        return (began, min(later)) if later else None

    @property
    def unwanted(self) -> list[str]:
        """Name the other releases that no rollback goes to by itself, newest first."""
        others = [one for one in self.state.revisions if self.was_left(one) or self.to_blame(one)]
        newest = sorted(others, key=lambda one: one.number, reverse=True)
        return list(dict.fromkeys(self.version(one) for one in newest))

    def _since(self, current: Revision) -> int:
        """Give the number with which the release in force came, restarts and all."""
        since, numbers = current.number, set(self._numbers_of(current))
        while since - 1 in numbers:
            since -= 1
        return since

    def _of(self, revision: Revision) -> list[Revision]:
        return [one for one in self.state.revisions if self.same(one, revision)]

    def _numbers_of(self, revision: Revision) -> list[int]:
        return [number for one in self._of(revision) for number in _numbers(one)]


def _numbers(revision: Revision) -> list[int]:
    """Give all numbers that a revision has had: each time it is gone back to it gets a new one."""
    return [*revision.earlier, revision.number]


def _containers(revision: Revision) -> dict[str, str]:
    """Give the image of each container, by its name; by its place where the names are not known."""
    return revision.containers or {str(place): image for place, image in enumerate(revision.images)}


def _application(revisions: list[Revision], named: str | None) -> set[str]:
    """Find the containers whose images name a release."""
    images: dict[str, set[str]] = {}
    for revision in revisions:
        for name, image in _containers(revision).items():
            images.setdefault(name, set()).add(image)
    if named is not None and named in images:
        return {named}
    return {name for name, seen in images.items() if len(seen) > 1} or set(images)
