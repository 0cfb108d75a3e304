"""The world of random sequences: releases that are good or bad, holds that effects look at, and what was told when."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.lookup import Catalogue
from activities.common.effects import Change
from activities.kubernetes.cluster import PodsRequest, RestartRollout, ScaleDeployment, UndoRollout, Workload
from activities.kubernetes.states import DeploymentState, Pod, Pods, Revision
from activities.messages.status_page.status_page import UpdateStatusPage
from activities.monitoring.health import Health, HealthRequest, Steadiness, SteadyRequest
from activities.monitoring.prometheus import Metrics, MetricsRequest
from activities.releases.helm import ReleaseChange, RollbackRelease, UpgradeRelease
from tests.workflows.worlds.damaged import DamagedWorld
from tests.workflows.worlds.platform import NOW, image
from tests.workflows.worlds.world import instead

ELSEWHERE = "point-in-time-restore/x"
"""A restore that is no run of ours."""
_BLAMED = {"failed", "rolled_back"}


class Habits(DamagedWorld):
    """As a cluster is: what runs decides whether the service is well, and who keeps it stopped is asked by effects."""

    def __init__(self, name: str, **policies: Any) -> None:
        super().__init__(policies)
        self.name = name
        """Of the service in the catalogue: its own, since incidents of one service are one run."""
        self.sick = False
        """Crashes that a restart cures."""
        self.gone_back: list[tuple[str, frozenset[str]]] = []
        """Each release that was gone back to, and those that were to blame at that moment."""
        self.touched_while_stopped: list[str] = []
        self.published: list[tuple[str, str, bool]] = []
        """Which incident's entry on the public page was told what, and whether the service was well then."""
        self.life = [(datetime.now(UTC), True)]
        """When the service became well or unwell."""

    # -- what happens --------------------------------------------------------------------------------------

    @property
    def tag(self) -> str:
        return self.images[self.revision].rpartition(":")[2]

    @property
    def to_blame(self) -> frozenset[str]:
        """Releases whose last word in the records is that they failed or were rolled back."""
        last: dict[str, str] = {}
        for one in self.deployments:  # newest first
            if one.status != "started":
                last.setdefault(one.version, one.status)
        return frozenset(version for version, status in last.items() if status in _BLAMED)

    def settle(self) -> None:
        """Say how the service is, after anything has changed."""
        running = self.replicas > 0
        self.crashing = running and (self.sick or self.tag in self.bad_versions)
        self.healthy = running and not self.crashing
        self.ready = self.replicas if self.healthy else 0
        if self.life[-1][1] is not self.healthy:
            self.life.append((datetime.now(UTC), self.healthy))

    def unwell(self) -> list[tuple[datetime, datetime]]:
        """Give from when to when the service was not well."""
        ends = [at for at, _ in self.life[1:]] + [datetime.now(UTC)]
        return [(at, end) for (at, well), end in zip(self.life, ends, strict=True) if not well]

    def release(self, *, bad: bool) -> None:
        """Somebody's CI releases another version, beside us."""
        number = max(self.images) + 1
        tag = f"v2.{number}"
        self.images[number] = image(tag)
        self.revision = number
        self.rolled_out_ago = timedelta(minutes=1)
        if bad:
            self.bad_versions.add(tag)
        self.settle()

    def stop(self) -> None:
        """Another installation's restore begins (7.3)."""
        if not self.stopped_by:
            self.stopped_by, self.replicas = ELSEWHERE, 0
            self.settle()

    def start(self) -> None:
        """It is over."""
        if self.stopped_by == ELSEWHERE:
            self.stopped_by, self.replicas = None, 3
            self.settle()

    def _changes(self, name: str, request: Any) -> bool:
        """Refuse where somebody keeps the service stopped, as the real ones do at the moment of acting."""
        its_own = self.stopped_by == request.effect.workflow_id
        if self.stopped_by and not its_own:
            raise ApplicationError(f"kept without replicas by {self.stopped_by}", type="Refused", non_retryable=True)
        applied = self._done(name, request)
        if applied and self.replicas == 0 and not its_own:
            self.touched_while_stopped.append(name)
        return applied

    # -- activities ----------------------------------------------------------------------------------------

    def activities(self) -> list[Callable[..., Any]]:
        only = Catalogue({self.name: self.service}, self.approvals)
        named = (only.resolve, only.users_of_database)
        return instead(super().activities(), *named, *self._reads_again(), *self._acts(), *self._helm())

    def _reads_again(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="kubernetes.deployment")
        def deployment(request: Workload) -> DeploymentState:
            now = activity.info().current_attempt_scheduled_time
            newest = max(world.images)
            return DeploymentState(
                name="tensafe-server",
                namespace="tensafe",
                replicas=world.replicas,
                updated=world.replicas,
                ready=world.ready,
                available=world.ready,
                paused=False,
                current_revision=world.revision,
                revisions=[
                    Revision(
                        number=number,
                        images=[name],
                        pod_template_hash=str(number),
                        created_at=now - (world.rolled_out_ago if number == newest else timedelta(days=3)),
                        earlier=world.earlier.get(number, []),
                    )
                    for number, name in world.images.items()
                ],
                rolled_out_at=now - world.rolled_out_ago,
                **world._stop(),
            )

        @activity.defn(name="kubernetes.pods")
        def pods(request: PodsRequest) -> Pods:
            reason = "CrashLoopBackOff" if world.crashing else ""
            pod = {"phase": "Running", "restarts": 0, "reason": reason, "image": image(world.tag), "created_at": NOW}
            return Pods(items=[Pod(name=f"p-{n}", ready=n < world.ready, **pod) for n in range(world.replicas)])

        @activity.defn(name="health.check")
        def check(request: HealthRequest) -> Health:
            return Health(status="healthy" if world.healthy else "unhealthy", milliseconds=1)

        @activity.defn(name="metrics.snapshot")
        def snapshot(request: MetricsRequest) -> Metrics:
            return Metrics(values=dict.fromkeys(request.queries, 0.2))

        @activity.defn(name="statuspage.update")
        def update(request: UpdateStatusPage) -> Change:
            if applied := world._done("statuspage.update", request):
                world.published.append((request.incident_id, request.status, world.healthy))
            return Change(target="page", after=request.status, applied=applied)

        @activity.defn(name="health.steady")
        def steady(request: SteadyRequest) -> Steadiness:
            if not world.healthy:
                time.sleep(0.3)  # as the real one, it doesn't give up at once
            last = Health(status="healthy" if world.healthy else "unhealthy", milliseconds=1)
            return Steadiness(steady=world.healthy, last=last, checks=9, seconds=1, longest=1)

        return [deployment, pods, check, snapshot, update, steady]

    def _acts(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="kubernetes.undo_rollout")
        def undo(request: UndoRollout) -> Change:
            if request.from_revision is not None and request.from_revision != world.revision:
                raise ApplicationError("somebody else has released", type="Refused", non_retryable=True)
            if applied := world._changes("kubernetes.undo_rollout", request):
                number = max(world.images) + 1
                world.gone_back.append((world.images[request.to_revision].rpartition(":")[2], world.to_blame))
                world.images[number] = world.images.pop(request.to_revision)
                world.earlier[number] = [*world.earlier.pop(request.to_revision, []), request.to_revision]
                world.revision, world.rolled_out_ago = number, timedelta(0)
                world.settle()
            return Change(target="deployment", after="undone", applied=applied)

        @activity.defn(name="kubernetes.restart_rollout")
        def restart(request: RestartRollout) -> Change:
            if applied := world._changes("kubernetes.restart_rollout", request):
                world.sick = False
                world.settle()
            return Change(target="deployment", after="restarted", applied=applied)

        @activity.defn(name="kubernetes.scale")
        def scale(request: ScaleDeployment) -> Change:
            if applied := world._changes("kubernetes.scale", request):
                world.replicas = max(request.replicas, world.replicas if request.at_least else 0)
                stops = request.stopped_until is not None and not world.replicas
                world.stopped_by = request.effect.workflow_id if stops else None
                world.settle()
            return Change(target="deployment", after=f"{request.replicas} replicas", applied=applied)

        return [undo, restart, scale]

    def _helm(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="helm.upgrade")
        def upgrade(request: UpgradeRelease) -> ReleaseChange:
            current = world.releases[-1][0]
            if world._changes("helm.upgrade", request):
                world.releases.append((current + 1, "deployed", request.version))
                number = max(world.images) + 1
                world.images[number], world.revision = image(request.version), number
                world.rolled_out_ago = timedelta(0)
                world.settle()
            return ReleaseChange(
                target="release",
                after=request.version,
                applied=True,
                deployed=world.healthy,
                revision=current + 1,
                reason="" if world.healthy else "3 × CrashLoopBackOff",
            )

        @activity.defn(name="helm.rollback")
        def rollback(request: RollbackRelease) -> ReleaseChange:
            if world._changes("helm.rollback", request):
                tag = next(tag for number, _, tag in world.releases if number == request.to_revision)
                world.gone_back.append((tag, world.to_blame))
                world.releases.append((world.releases[-1][0] + 1, "deployed", tag))
                number = max(world.images) + 1
                world.images[number], world.revision = image(tag), number
                world.settle()
            return ReleaseChange(target="release", after="back", applied=True, deployed=world.healthy, revision=9)

        return [upgrade, rollback]
