"""Helm releases, through the `helm` program (runbook 4.1 step 3, 4.2 step 2).

What is applied is pinned by the revision that it was decided on: Helm numbers the next one from there, and refuses a
number that is taken. An upgrade leaves its effect's mark on the revision it makes, so that the attempt after a crash
finds it, finished or not; a rollback, for which Helm keeps no mark, is known by its number and its words.
"""

import hashlib
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Misconfigured, Refused
from activities.kubernetes.images import parse
from activities.releases import helm_cli
from activities.releases.helm_cli import HelmCli, HelmRevision
from activities.releases.helm_pods import ReleasePods
from activities.releases.helm_records import MARK, HelmRecords
from activities.releases.helm_step import Own, Step, Systems
from audit.text import counted

if TYPE_CHECKING:
    from libraries import kubernetes

_MARK_CHARACTERS = 16
_KEEP_REPLICAS = Path(__file__).with_name("keep_replicas.py")


class ReleaseRequest(BaseModel):
    """Which release."""

    namespace: str
    release: str


class HelmRelease(BaseModel):
    """A release and its history, newest revision last."""

    release: str
    namespace: str
    revisions: list[HelmRevision] = Field(description="Empty: there is no such release.")
    tag: str = Field(default="", description="The current revision's value that takes the version, where it has one.")

    @property
    def current(self) -> HelmRevision | None:
        """The newest revision."""
        return self.revisions[-1] if self.revisions else None

    @property
    def version(self) -> str:
        """How people name what that value says: by the tag, else by the beginning of a digest."""
        return parse(self.tag if "/" in self.tag else f"{self.release}:{self.tag}").shown if self.tag else ""

    @property
    def uninstalled(self) -> str:
        """That somebody has uninstalled it and kept its history, with the ways out; empty where not."""
        return self.current.uninstalled(self.namespace, self.release) if self.current else ""

    def __str__(self) -> str:
        if self.current is None:
            return f"no release {self.release}"
        version = f" ({self.version})" if self.version else ""
        return f"{self.release} revision {self.current.number} {self.current.status}{version}"


class DescribeRelease(ReleaseRequest):
    """Read a release."""

    tag_value: str = "image.tag"


class UpgradeRelease(ReleaseRequest):
    """`helm upgrade --wait --timeout`, to a version."""

    chart: str
    tag_value: str
    version: str
    values: dict[str, str] = Field(default_factory=dict)
    from_revision: int = Field(description="The release's newest revision when this was decided; 0 where none was.")
    timeout: timedelta
    effect: Effect


class RollbackRelease(ReleaseRequest):
    """`helm rollback --wait --timeout`, to a pinned revision."""

    from_revision: int = Field(description="The newest revision when this was decided.")
    to_revision: int = Field(ge=1)
    timeout: timedelta
    effect: Effect


class ReleaseChange(Change):
    """What Helm did; a release that didn't become ready is a result, not an error."""

    deployed: bool = Field(description="Whether Helm says that it is deployed, all resources ready.")
    revision: int = Field(description="The release's revision now; what it would be, in plan mode.")
    reason: str = Field(default="", description="Why it is not deployed.")

    def __str__(self) -> str:
        """One line for the timeline."""
        text = super().__str__()
        return text if self.deployed else f"{text}: not deployed: {self.reason}"


class Helm:
    """Runs Helm; blocking, heartbeating, and ended with its activity.

    Raises from every method: `Misconfigured` (no such program or chart), `Unavailable` (the cluster doesn't answer),
    `Refused` (Helm or the API server understood and refused), `Conflict` (somebody else was faster; looked at again).
    """

    def __init__(
        self,
        program: str,
        api: "kubernetes.ApiClient",
        *,
        kubeconfig: Path | None,
        context: str | None,
        directory: Path,
    ) -> None:
        """Take `api` for the same cluster; `directory` is what relative chart paths are relative to."""
        self._cli = HelmCli(program, kubeconfig, context)
        self._records = HelmRecords(api)
        self._systems = Systems(self._cli, self._records, ReleasePods(api))
        self._directory = directory

    @activity.defn(name="helm.release", no_thread_cancel_exception=True)
    def release(self, request: DescribeRelease) -> HelmRelease:
        """Read a release with its history; one that isn't there has no revisions.

        Raises:
            Refused: Helm keeps it where we don't look.

        """
        where = (request.namespace, request.release)
        found = HelmRelease(release=request.release, namespace=request.namespace, revisions=self._cli.history(*where))
        if found.current is not None:
            found.tag = self._cli.value(*where, found.current.number, request.tag_value)
            known = self._records.contents(*where)
            for revision in found.revisions:
                if (one := known.get(revision.number)) is not None:
                    revision.contents, revision.versions = one.digest, [*one.versions]
        elif elsewhere := self._records.kept_elsewhere(*where):
            raise Refused(elsewhere)
        return found

    @activity.defn(name="helm.upgrade", no_thread_cancel_exception=True)
    @effect
    def upgrade(self, request: UpgradeRelease) -> ReleaseChange:
        """Upgrade to a version and wait until it is ready (4.1 step 3).

        Interrupted by a crash, the next attempt recovers the release that is left `pending-upgrade` and goes on; done
        by an earlier attempt, it is found by its mark and not done again. In plan mode a server-side dry run. Waiting
        ends before its time where the rollout has given up, or all pods waited for have been failing for a minute.

        Raises:
            Refused: somebody else has released meanwhile, or is doing so now; or has uninstalled the release.

        """
        where = (request.namespace, request.release)
        mark = hashlib.sha256(request.effect.key.encode()).hexdigest()[:_MARK_CHARACTERS]

        def own(revisions: list[HelmRevision], _begun: bool) -> HelmRevision | None:  # noqa: FBT001 - the step's call
            marked = self._records.marked(*where, mark)
            return next((revision for revision in revisions if revision.number == marked), None)

        command = [
            *("upgrade", request.release, self._chart(request.chart)),
            *helm_cli.set_strings({**request.values, request.tag_value: request.version}),
            f"--labels={MARK}={mark}",
            f"--description={request.version}, for {request.effect.actor} (effect {mark})",
            # Only where there was none: what somebody has uninstalled meanwhile must not come back unnoticed.
            *(["--install"] if request.from_revision == 0 else []),
            *(["--dry-run=server", "--hide-secret"] if request.effect.dry_run else []),
        ]
        before, remarks = "", []
        if request.from_revision:
            raised = self._raised(*where, request.from_revision)
            if raised:
                command += ["--post-renderer", sys.executable]
                rendered = [str(_KEEP_REPLICAS), *(f"{name}={number}" for name, (number, _) in raised.items())]
                command += [f"--post-renderer-args={argument}" for argument in rendered]
                remarks = _kept(raised)
            tag = self._cli.value(*where, request.from_revision, request.tag_value)
            before = f"revision {request.from_revision} ({tag or 'no tag'})"
        return self._take(request, command, before=before, after=request.version, own=own, remarks=remarks)

    @activity.defn(name="helm.rollback", no_thread_cancel_exception=True)
    @effect
    def rollback(self, request: RollbackRelease) -> ReleaseChange:
        """Go back to a revision and wait until it is ready (4.2 step 2).

        Raises:
            NotFound: the release has no such revision; lists those it has.
            Refused: somebody else has released meanwhile, or has uninstalled the release.

        """
        says = f"Rollback to {request.to_revision}"
        failed = tuple(f'{what} "{request.release}" failed' for what in ("Rollback", "Release"))

        def own(revisions: list[HelmRevision], begun: bool) -> HelmRevision | None:  # noqa: FBT001 - the step's call
            made = next((r for r in revisions if r.number == request.from_revision + 1), None)
            if made is None or made.description == says:
                # One that somebody else has done just so leaves nothing to do; one under way is ours only if we began.
                return made if made and (begun or not made.pending) else None
            # A failure takes the description's place.
            return made if begun and (made.pending or made.description.startswith(failed)) else None

        command = ["rollback", request.release, str(request.to_revision)]
        where = (request.namespace, request.release)
        if request.effect.dry_run:
            command.append("--dry-run")
        else:
            self._records.as_it_said(*where, request.to_revision)  # an attempt that died may have left it otherwise
        raised = self._raised(*where, request.from_revision, to=request.to_revision)
        keep = {name: number for name, (number, _) in raised.items()}
        return self._take(
            request,
            command,
            before=f"revision {request.from_revision}",
            after=f"back on revision {request.to_revision}",
            own=own,
            needs=request.to_revision,
            remarks=_kept(raised),
            while_at_it=lambda: self._records.with_replicas(*where, request.to_revision, keep),
        )

    def _raised(self, namespace: str, release: str, revision: int, to: int | None = None) -> dict[str, tuple[int, int]]:
        """Give the Deployments whose replicas somebody has raised since they were released: now, and as released.

        Helm would put them back to what the chart says, or to what revision `to` said, in an emergency too
        (github.com/helm/helm/issues/7837). A number that was kept through an earlier release counts as released by now,
        but it isn't Helm's: whoever set it has the say still.
        """
        released = self._cli.replicas(namespace, release, revision)
        goal = released if to is None else self._cli.replicas(namespace, release, to)
        now = self._systems.pods.replicas(namespace, release)
        return {
            # Helm takes the field away where only the revision before had it, and then there would be one.
            name: (asked.replicas, goal.get(name, 1))
            for name, asked in now.items()
            if name in released
            if asked.replicas > released[name] or (asked.replicas == released[name] and not asked.by_helm)
            if to is None or asked.replicas > goal.get(name, 1)
        }

    def _take(
        self,
        request: UpgradeRelease | RollbackRelease,
        command: list[str],
        *,
        before: str,
        after: str,
        own: Own,
        needs: int | None = None,
        remarks: Sequence[str] = (),
        while_at_it: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> ReleaseChange:
        step = Step(
            self._systems,
            request.namespace,
            request.release,
            request.from_revision,
            request.timeout,
            request.effect,
            before=before,
            after=after,
            own=own,
            needs=needs,
            remarks=tuple(remarks),
            while_at_it=while_at_it,
        )
        return ReleaseChange(**asdict(step.take(command)))

    def _chart(self, chart: str) -> str:
        """Find a chart beside the settings; what isn't there is a repository's, or a registry's."""
        path = self._directory / chart
        if path.exists():
            return str(path)
        if Path(chart).is_absolute() or chart.startswith(".") or chart.endswith(".tgz"):
            raise Misconfigured(f"release.chart: there is no {path}")
        return chart


def _kept(raised: dict[str, tuple[int, int]]) -> list[str]:
    """Say whose replicas are kept: now, and what the release would make of them."""
    return [
        f"{name} keeps {counted(number, 'replica')}, "
        + (f"to which somebody has raised it from {others}" if number > others else "which somebody has set")
        for name, (number, others) in raised.items()
    ]
