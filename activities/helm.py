"""Helm releases, through the `helm` program (runbook 4.1 step 3, 4.2 step 2)."""

from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, Field
from temporalio import activity

from activities.effects import Change, Effect, effect


class ReleaseRequest(BaseModel):
    """Which release."""

    namespace: str
    release: str


class HelmRevision(BaseModel):
    """One line of `helm history`."""

    number: int
    status: str = Field(description="deployed, superseded, failed, pending-upgrade, …")
    chart: str = Field(description="Name and version, for example `tensafe-1.0.0`.")
    description: str = ""
    updated_at: datetime


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

    def __str__(self) -> str:
        """For example `tensafe revision 3 deployed (v1.2.3)`."""
        raise NotImplementedError


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
    `Refused` (Helm or the API server understood and refused).
    """

    def __init__(self, program: str, *, kubeconfig: Path | None, context: str | None, directory: Path) -> None:
        """`directory` is what relative chart paths are relative to."""
        self._program = program
        self._kubeconfig = kubeconfig
        self._context = context
        self._directory = directory

    @activity.defn(name="helm.release")
    def release(self, request: DescribeRelease) -> HelmRelease:
        """Read a release with its history; one that isn't there has no revisions."""
        raise NotImplementedError

    @activity.defn(name="helm.upgrade")
    @effect
    def upgrade(self, request: UpgradeRelease) -> ReleaseChange:
        """Upgrade to a version and wait until it is ready (4.1 step 3).

        Interrupted by a crash, the next attempt recovers the release that is left `pending-upgrade` and goes on; done
        by an earlier attempt, it is found by its description and not done again. In plan mode a server-side dry run.

        Raises:
            Refused: somebody else has released meanwhile, or is doing so now.

        """
        raise NotImplementedError

    @activity.defn(name="helm.rollback")
    @effect
    def rollback(self, request: RollbackRelease) -> ReleaseChange:
        """Go back to a revision and wait until it is ready (4.2 step 2).

        Raises:
            NotFound: the release has no such revision; lists those it has.
            Refused: somebody else has released meanwhile.

        """
        raise NotImplementedError
