"""The world of a full recovery: a namespace with several Deployments, traffic in shares, a database with backups."""

from collections import Counter
from collections.abc import Callable, Container
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.recovery import RecoveryPolicy, TrafficPolicy
from activities.catalogue.smoke import SmokeCheck
from activities.common.effects import Change
from activities.database.backups.backups import BackupCatalogue, BackupsRequest
from activities.database.backups.system import Backup
from activities.database.replication.replica_progress import ReplicaProgress
from activities.database.replication.replication import Standing, StandingRequest
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest, Figures
from activities.kubernetes.cluster import AwaitRollout, RestartRollout, ScaleDeployment
from activities.kubernetes.states import Rollout
from activities.kubernetes.traffic import Share, ShareRequest, ShiftTraffic
from activities.kubernetes.workloads import WorkloadsRequest, WorkloadState, WorkloadStates
from activities.monitoring.health import Health, HealthRequest, Steadiness, SteadyRequest
from activities.monitoring.prometheus import Metrics, MetricsRequest
from activities.releases.smoke import SmokeChecks, SmokeResult
from activities.releases.watch import Watched, WatchRelease
from tests.workflows.worlds.platform import Platform, image
from tests.workflows.worlds.pointed import Pointed, a_database
from tests.workflows.worlds.world import instead

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)
INGRESS = TrafficPolicy(mode="ingress", ingress="tensafe-server")
REPLICAS = TrafficPolicy(mode="replicas")
TESTS = (SmokeCheck(name="login", url="http://127.0.0.1:1/login"),)
DATABASE = a_database("primary", "replica-1")


class Outage(Pointed, Platform):
    """`gateway` and `worker` beside `tensafe-server`; traffic wherever the recovery brings it."""

    def __init__(self, **policies: Any) -> None:
        recovery = policies.pop("recovery", RecoveryPolicy(traffic=INGRESS, tests=TESTS))
        super().__init__(recovery=recovery, **policies)
        self.workloads = ["gateway", "tensafe-server", "worker"]
        self.paused_deployments: set[str] = set()
        self.stuck: dict[str, int] = {}
        """How many restarts of a Deployment don't bring it back."""
        self.unhealthy_urls: set[str] = set()
        self.metric_values: dict[str, float | None] = {}
        self.percent = 100
        self.shares: list[int] = []
        self.unwell_at: dict[int, Container[int]] = {}
        """At which of the watches of a share, counted from 1, the service isn't well."""
        self.watches: Counter[int] = Counter()
        self.meanwhile: dict[int, int] = {}
        """What share somebody else sets while one is watched, once."""
        self.bad_looks: set[int] = set()
        """Which looks of the watch find the service unwell; all others are well."""
        self.looks = 0
        self.hold_look = 0
        """A look that lasts until the test says otherwise, so that the test server's clock stands still."""
        self.tests_fail = 0
        self.restarts: list[str] = []
        self.up = {"primary", "replica-1"}
        self.checksum_failures: int | None = 0
        self.backups = [Backup(backup_id="b1", status="done", ended_at=NOW, verified=True)]

    @property
    def pages(self) -> str:
        """What people were paged for; a page is not waited for, so the last may come before the one that it follows."""
        return "\n".join(page.summary for page in self.done("paging.page"))

    def broken(self) -> "Outage":
        self.healthy = False
        return self

    def activities(self) -> list[Callable[..., Any]]:
        return instead(super().activities(), *self._cluster(), *self._service(), *self._database())

    def _cluster(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="workloads.deployments")
        def deployments(request: WorkloadsRequest) -> WorkloadStates:
            world._up("workloads.deployments")
            return WorkloadStates(
                items=[
                    WorkloadState(
                        name=name,
                        replicas=1,
                        ready=1,
                        paused=name in world.paused_deployments,
                        images=[image("v1.2.3")],
                        waiting_for="",
                    )
                    for name in world.workloads
                ]
            )

        @activity.defn(name="kubernetes.restart_rollout")
        def restart(request: RestartRollout) -> Change:
            world._up("kubernetes.restart_rollout")
            if world._done("kubernetes.restart_rollout", request):
                world.restarts.append(request.deployment)
                world.stuck[request.deployment] = world.stuck.get(request.deployment, 0) - 1
                world.healthy = True
            return Change(target=request.deployment, after="restarting", applied=not request.effect.dry_run)

        @activity.defn(name="kubernetes.await_rollout")
        def await_rollout(request: AwaitRollout) -> Rollout:
            world._up("kubernetes.await_rollout")
            stuck = world.stuck.get(request.deployment, 0) >= 0 and request.deployment in world.stuck
            reason = "0 of 1 updated pods available" if stuck else ""
            return Rollout(complete=not stuck, ready=1, replicas=1, revision=2, seconds=1, reason=reason)

        @activity.defn(name="traffic.share")
        def share(request: ShareRequest) -> Share:
            world._up("traffic.share")
            return Share(ingress=request.ingress, percent=world.percent)

        @activity.defn(name="traffic.shift")
        def shift(request: ShiftTraffic) -> Change:
            world._up("traffic.shift")
            if world.percent not in request.instead_of:
                raise ApplicationError("somebody else has set it", type="Refused", non_retryable=True)
            if world._done("traffic.shift", request):
                world.percent = request.percent
                world.shares.append(request.percent)
            return Change(target="ingress", after=f"{request.percent} %", applied=not request.effect.dry_run)

        @activity.defn(name="kubernetes.scale")
        def scale(request: ScaleDeployment) -> Change:
            if world._done("kubernetes.scale", request):
                world.replicas = max(request.replicas, world.replicas) if request.at_least else request.replicas
                world.shares.append(world.replicas)
            return Change(target="deployment", after=f"{request.replicas} replicas", applied=True)

        return [deployments, restart, await_rollout, share, shift, scale]

    def _service(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="health.check")
        def check(request: HealthRequest) -> Health:
            return Health(status="healthy" if world.healthy else "unhealthy", milliseconds=1)

        @activity.defn(name="health.steady")
        def steady(request: SteadyRequest) -> Steadiness:
            well = world.healthy and request.url not in world.unhealthy_urls
            last = Health(status="healthy" if well else "unhealthy", milliseconds=1)
            return Steadiness(steady=well, last=last, checks=9, seconds=1, longest=1)

        @activity.defn(name="metrics.snapshot")
        def snapshot(request: MetricsRequest) -> Metrics:
            world._up("metrics.snapshot")
            return Metrics(values={name: world.metric_values.get(name) for name in request.queries})

        @activity.defn(name="smoke.http")
        def smoke(request: SmokeChecks) -> SmokeResult:
            world.tests_fail -= 1
            failures = ["login: expected HTTP 200, got HTTP 500"] if world.tests_fail >= 0 else []
            return SmokeResult(passed=1 - len(failures), failures=failures)

        @activity.defn(name="release_watch.watch")
        def watch(request: WatchRelease) -> Watched:
            world._up("release_watch.watch")
            breach = world._breach(request)
            while world.hold_look and world.looks == world.hold_look:
                activity.heartbeat()
                activity.wait_for_cancelled_sync(0.02)
                if activity.is_cancelled():
                    raise ApplicationError("cancelled")
            return Watched(breach=breach, samples=10, blind=0, seconds=1, worst=request.baseline)

        return [check, steady, snapshot, smoke, watch]

    def _breach(self, request: WatchRelease) -> str:
        if request.lasting == self.service.recovery.look_for:
            self.looks += 1
            return "error rate 9.00 %, above 5.00 % for 30 s" if self.looks in self.bad_looks else ""
        share = self.percent
        self.watches[share] += 1
        self.percent = self.meanwhile.pop(share, share)
        unwell = self.watches[share] in self.unwell_at.get(share, ())
        return "error rate 12.00 %, above 5.00 % for 30 s" if unwell else ""

    def _database(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="replication.standing")
        def standing(request: StandingRequest) -> Standing:
            world._up("replication.standing")
            return Standing(
                servers={
                    name: ReplicaProgress(
                        reachable=name in world.up,
                        trouble="" if name in world.up else "connection refused",
                        in_recovery=name != world.pointed,
                    )
                    for name in request.servers
                }
            )

        @activity.defn(name="backups.list")
        def backups(request: BackupsRequest) -> BackupCatalogue:
            world._up("backups.list")
            reach = NOW + timedelta(hours=1) if world.backups else None
            return BackupCatalogue(items=world.backups, earliest=NOW if world.backups else None, latest=reach)

        @activity.defn(name="postgres.health")
        def health(request: DatabaseHealthRequest) -> DatabaseHealth:
            world._up("postgres.health")
            figures = Figures(size=1, dead_rows=0, index_waste=0, oldest_age=1, invalid_indexes=0, connections=1)
            return DatabaseHealth(
                at=NOW,
                in_recovery=False,
                version="18",
                size=1,
                connections=1,
                connections_limit=97,
                reads=1,
                cache_hit=1.0,
                checksum_failures=world.checksum_failures,
                xid_age=1,
                multixact_age=1,
                freeze_max_age=200,
                multixact_freeze_max_age=400,
                autovacuum=True,
                figures=figures,
            )

        return [standing, backups, health]
