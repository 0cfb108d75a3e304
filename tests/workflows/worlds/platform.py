"""The world of scaling and deployment: autoscalers, nodes, Helm, CI and figures beside what `World` has."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.autoscaling.autoscalers import Hold, HoldAutoscaler, Release, ReleaseAutoscaler, RenewHold
from activities.autoscaling.node_groups import NodeGroup, NodeGroupRequest, ResizeNodeGroup
from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import GpuPolicy, ReleasePolicy, ScalingPolicy
from activities.catalogue.smoke import SmokeCheck, SmokeJob
from activities.common.effects import Change
from activities.kubernetes.cluster import AwaitRollout, PodsRequest, ScaleDeployment, Workload
from activities.kubernetes.nodes import AwaitNode, Node, NodeJoined, Nodes, NodesRequest
from activities.kubernetes.states import DeploymentState, Pod, Pods, Revision, Rollout
from activities.monitoring.figures import Figures
from activities.monitoring.prometheus import Metrics, MetricsRequest
from activities.records.deployments import RecordDeployment
from activities.releases.ci import CiRequest, CiStatus, Verdict
from activities.releases.helm import (
    DescribeRelease,
    HelmRelease,
    ReleaseChange,
    RollbackRelease,
    UpgradeRelease,
)
from activities.releases.helm_cli import HelmRevision
from activities.releases.smoke import RunSmokeJob, SmokeChecks, SmokeJobResult, SmokeResult
from activities.releases.watch import BaselineRequest, Watched, WatchRelease
from tests.workflows.worlds.world import World, instead

NOW = datetime(2026, 2, 4, tzinfo=UTC)
GOOD, BAD = "v1.2.3", "v1.2.4"


def image(tag: str) -> str:
    return f"registry.example/tensafe-server:{tag}"


class Platform(World):
    """Replicas that scale, a ScaledObject, two GPU nodes, and a Helm release on v1.2.3."""

    def __init__(self, **policies: Any) -> None:
        super().__init__()
        self.service = self.service.model_copy(
            update={
                "hpa": "tensafe-server",
                "scaled_object": "tensafe-scaledobject",
                "scaling": ScalingPolicy(),
                "gpu": GpuPolicy(cluster="tensafe-prod", utilisation="gpu"),
                "release": ReleasePolicy(
                    release="tensafe",
                    chart="chart",
                    smoke=(SmokeCheck(name="health", url="http://127.0.0.1:1/health"),),
                    smoke_job=SmokeJob(image="smoke"),
                ),
                **policies,
            }
        )
        self.replicas = 3
        self.rollout_completes = True
        self.autoscaling = Autoscaling(hpa_min=3, hpa_max=20, hpa_current=3, hpa_desired=3, scaled_object_paused=False)
        self.paused_by = ""
        self.lease_until: datetime | None = None
        self.gpu_nodes = ["gpu-1", "gpu-2"]
        self.desired, self.maximum = 2, 10
        self.node_comes = True
        self.gpu_utilisation: float | None = 0.95
        self.releases = [(1, "deployed", GOOD)]
        self.bad_versions: set[str] = set()
        self.tests: Verdict = "passed"
        self.breach = self.unsettled = ""
        self.blind = 0
        self.smoke_fails = False
        self.watching = False

    @property
    def paused(self) -> bool:
        return bool(self.paused_by)

    def activities(self) -> list[Callable[..., Any]]:
        return instead(super().activities(), *self._scaling(), *self._releasing())

    def _scaling(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="kubernetes.deployment")
        def deployment(request: Workload) -> DeploymentState:
            world._up("kubernetes.deployment")
            return DeploymentState(
                name="tensafe-server",
                namespace="tensafe",
                replicas=world.replicas,
                updated=world.replicas,
                ready=world.replicas,
                available=world.replicas,
                paused=False,
                current_revision=world.revision,
                revisions=[
                    Revision(
                        number=n,
                        images=[i],
                        created_at=NOW - world.ages.get(n, timedelta(0)),
                        pod_template_hash=str(n),
                    )
                    for n, i in world.images.items()
                ],
                rolled_out_at=NOW,
                **world._stop(),
            )

        @activity.defn(name="kubernetes.pods")
        def pods(request: PodsRequest) -> Pods:
            pod = {"phase": "Running", "ready": True, "restarts": 0, "image": image(GOOD), "created_at": NOW}
            return Pods(items=[Pod(name=f"p-{n}", **pod) for n in range(world.replicas)])

        @activity.defn(name="kubernetes.await_rollout")
        def await_rollout(request: AwaitRollout) -> Rollout:
            ready = world.replicas if world.rollout_completes else world.replicas - 1
            reason = "" if world.rollout_completes else "1 of 6 updated pods available"
            return Rollout(
                complete=not reason, ready=ready, replicas=world.replicas, revision=1, seconds=1, reason=reason
            )

        @activity.defn(name="kubernetes.scale")
        def scale(request: ScaleDeployment) -> Change:
            if world._done("kubernetes.scale", request):
                world.replicas = request.replicas
            return Change(target="deployment", after=f"{request.replicas} replicas", applied=True)

        @activity.defn(name="autoscalers.hold")
        def hold(request: HoldAutoscaler) -> Hold:
            world._up("autoscalers.hold")
            known = {"kind": "ScaledObject", "name": "tensafe-scaledobject", "target": "scaledobject"}
            if world.paused_by and world.paused_by != request.lease:
                if "/" in world.paused_by:
                    raise ApplicationError("held by another run", type="Refused", non_retryable=True)
                return Hold(**known, after="paused by somebody else", applied=False, ours=False)
            if world._done("autoscalers.hold", request):
                world.paused_by, world.lease_until = request.lease, request.until
            return Hold(**known, before="active", after="paused", applied=True, ours=True)

        @activity.defn(name="autoscalers.renew")
        def renew(request: RenewHold) -> Change:
            world._done("autoscalers.renew", request)
            world.lease_until = request.until
            return Change(target="scaledobject", after="renewed", applied=True)

        @activity.defn(name="autoscalers.release")
        def release(request: ReleaseAutoscaler) -> Release:
            world._done("autoscalers.release", request)
            ours = world.paused_by == request.lease
            if ours:
                world.paused_by = ""
            return Release(target="scaledobject", after="active" if ours else "left", applied=ours, resumed=ours)

        @activity.defn(name="metrics.snapshot")
        def snapshot(request: MetricsRequest) -> Metrics:
            world._up("metrics.snapshot")
            return Metrics(values=dict.fromkeys(request.queries, world.gpu_utilisation))

        @activity.defn(name="nodes.list")
        def nodes(request: NodesRequest) -> Nodes:
            return Nodes(items=[world._node(name) for name in world.gpu_nodes])

        @activity.defn(name="nodes.await_new")
        def await_new(request: AwaitNode) -> NodeJoined:
            new = [name for name in world.gpu_nodes if name not in request.known]
            return NodeJoined(
                node=world._node(new[0]) if new else None, seconds=1, reason="" if new else "no new node yet"
            )

        @activity.defn(name="node_groups.read")
        def read(request: NodeGroupRequest) -> NodeGroup:
            return NodeGroup(
                **request.model_dump(), status="ACTIVE", minimum=2, maximum=world.maximum, desired=world.desired
            )

        @activity.defn(name="node_groups.resize")
        def resize(request: ResizeNodeGroup) -> Change:
            if world._done("node_groups.resize", request):
                world.desired = request.desired
                if world.node_comes:
                    world.gpu_nodes = [f"gpu-{n}" for n in range(1, request.desired + 1)]
            return Change(target="nodegroup", after=f"{request.desired} nodes", applied=True)

        return [
            deployment,
            pods,
            await_rollout,
            scale,
            hold,
            renew,
            release,
            snapshot,
            nodes,
            await_new,
            read,
            resize,
        ]

    def _node(self, name: str) -> Node:
        return Node(name=name, ready=True, schedulable=True, allocatable=4, created_at=NOW)

    def _serve(self, tag: str) -> None:
        self.revision += 1
        self.images[self.revision] = image(tag)
        self.healthy = tag not in self.bad_versions

    def _releasing(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="helm.release")
        def release(request: DescribeRelease) -> HelmRelease:
            world._up("helm.release")
            revisions = [
                HelmRevision(number=n, status=status, chart="tensafe-1.0.0", updated_at=NOW)
                for n, status, _ in world.releases
            ]
            tag = world.releases[-1][2] if world.releases else ""
            return HelmRelease(release="tensafe", namespace="tensafe", revisions=revisions, tag=tag)

        @activity.defn(name="helm.upgrade")
        def upgrade(request: UpgradeRelease) -> ReleaseChange:
            world._up("helm.upgrade")
            current = world.releases[-1][0] if world.releases else 0
            if current != request.from_revision:
                raise ApplicationError("somebody else has released", type="Refused", non_retryable=True)
            if world._done("helm.upgrade", request):
                world.releases.append((current + 1, "deployed", request.version))
                world._serve(request.version)
            return ReleaseChange(
                target="release", after=request.version, applied=True, deployed=True, revision=current + 1
            )

        @activity.defn(name="helm.rollback")
        def rollback(request: RollbackRelease) -> ReleaseChange:
            if world._done("helm.rollback", request):
                tag = next(tag for n, _, tag in world.releases if n == request.to_revision)
                world.releases.append((world.releases[-1][0] + 1, "deployed", tag))
                world._serve(tag)
            return ReleaseChange(target="release", after="back", applied=True, deployed=True, revision=9)

        @activity.defn(name="ci.status")
        def ci(request: CiRequest) -> CiStatus:
            world._up("ci.status")
            return CiStatus(verdict=world.tests)

        @activity.defn(name="records.record_deployment")
        def record(request: RecordDeployment) -> Change:
            world._done("records.record_deployment", request)
            return Change(target=request.version, after=request.status, applied=True)

        @activity.defn(name="smoke.http")
        def smoke(request: SmokeChecks) -> SmokeResult:
            return SmokeResult(passed=0 if world.smoke_fails else 1, failures=["health: 500"] * world.smoke_fails)

        @activity.defn(name="smoke.job")
        def job(request: RunSmokeJob) -> SmokeJobResult:
            world._done("smoke.job", request)
            return SmokeJobResult(target="job", after="complete", applied=True, passed=True)

        @activity.defn(name="release_watch.baseline")
        def baseline(request: BaselineRequest) -> Figures:
            return Figures(error_rate=0.001, p95_latency=0.04)

        @activity.defn(name="release_watch.watch")
        def watch(request: WatchRelease) -> Watched:
            world.watching = True
            while world.watching and world.breach == "forever":
                activity.heartbeat()
                activity.wait_for_cancelled_sync(timedelta(milliseconds=20).total_seconds())
                if activity.is_cancelled():
                    raise ApplicationError("cancelled")
            return Watched(
                breach=world.breach,
                unsettled=world.unsettled,
                samples=10,
                blind=world.blind,
                seconds=900,
                worst=request.baseline,
            )

        return [release, upgrade, rollback, ci, record, smoke, job, baseline, watch]
