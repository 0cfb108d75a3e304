"""The world of a degraded service: figures beyond their limits, logs that complain, a watch that tells."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity

from activities.catalogue.degradation import DegradationPolicy
from activities.catalogue.recovery import Component
from activities.catalogue.service import ServiceMetrics
from activities.evidence.error_patterns import ErrorPattern, ErrorPatterns, ErrorPatternsRequest
from activities.evidence.evidence import ChartFigures, StoredEvidence
from activities.kubernetes.cluster import Workload
from activities.kubernetes.states import DeploymentState, Revision
from activities.monitoring.degradation import DegradationWatched, WatchDegradation
from activities.monitoring.figures import Figures
from activities.monitoring.health import Health, HealthRequest
from activities.monitoring.prometheus import Metrics, MetricsRequest
from tests.workflows.worlds.platform import Platform
from tests.workflows.worlds.world import instead

DEPENDENCY = "http://127.0.0.1:1/payments"


class Degraded(Platform):
    """Too slow and too busy, until more pods are there; `cures` says what else helps."""

    def __init__(self, **policy: Any) -> None:
        super().__init__(
            metrics=ServiceMetrics(error_rate="errors", p95_latency="p95", saturation="saturation"),
            degradation=DegradationPolicy(
                decision_timeout=timedelta(minutes=5),
                dependencies={"payments": Component(health_url=DEPENDENCY)},
                **policy,
            ),
        )
        self.figures = Figures(error_rate=0.01, p95_latency=3.0)
        self.saturation: float | None = 0.95
        self.cures = {"scale"}
        self.released_ago = timedelta(days=3)
        self.dependency_down = False
        self.goes_down = False
        self.watching = False
        """Keep the next watch going until it is called off."""
        self.watches = 0
        self.lasts_from: int | None = None
        """From this watch on, one ends only when the figures are back."""

    def well(self) -> None:
        """Bring the figures back."""
        self.figures, self.saturation = Figures(error_rate=0.0, p95_latency=0.05), 0.5

    def cure(self, by: str) -> None:
        if by in self.cures:
            self.well()

    def released(self, ago: timedelta) -> None:
        """v1.2.4 went out."""
        self.images[2] = "registry.example/tensafe-server:v1.2.4"
        self.revision, self.released_ago = 2, ago

    def _done(self, name: str, request: Any) -> bool:
        applied = super()._done(name, request)
        if applied and name == "kubernetes.scale":
            self.cure("scale")
        return applied

    def activities(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="metrics.snapshot")
        def snapshot(request: MetricsRequest) -> Metrics:
            world._up("metrics.snapshot")
            return Metrics(values={**world.figures.model_dump(), "saturation": world.saturation})

        @activity.defn(name="health.check")
        def check(request: HealthRequest) -> Health:
            well = not world.dependency_down if request.url == DEPENDENCY else world.healthy
            return Health(status="healthy" if well else "unreachable", milliseconds=1)

        @activity.defn(name="kubernetes.deployment")
        def deployment(request: Workload) -> DeploymentState:
            world._up("kubernetes.deployment")
            now = activity.info().current_attempt_scheduled_time
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
                        images=[image],
                        created_at=now - world.released_ago,
                        pod_template_hash=str(n),
                        earlier=world.earlier.get(n, []),
                    )
                    for n, image in world.images.items()
                ],
                rolled_out_at=now - world.released_ago,
                **world._stop(),
            )

        @activity.defn(name="logs.error_patterns")
        def patterns(request: ErrorPatternsRequest) -> ErrorPatterns:
            world._up("logs.error_patterns")
            found = ErrorPattern(text="error: no worker free for <n> s", count=7, last_at=datetime.now(UTC), pods=2)
            return ErrorPatterns(items=[found], lines=100, errors=7)

        @activity.defn(name="degradation.watch")
        async def watch(request: WatchDegradation) -> DegradationWatched:
            world._up("degradation.watch")
            world.watches += 1
            if world.watching:
                world.watching = False
                await _called_off()
            while world.lasts_from is not None and world.watches >= world.lasts_from:
                activity.heartbeat()
                await asyncio.sleep(0.05)
                if not request.limits.beyond(world.figures):
                    break
            beyond = "; ".join(request.limits.beyond(world.figures))
            verdict = "down" if world.goes_down else "degraded" if beyond else "better"
            if world.goes_down:
                world.healthy = False
            return DegradationWatched(
                verdict=verdict,
                why="health unreachable for 60 s" if world.goes_down else beyond,
                last=world.figures,
                worst=world.figures,
                samples=90,
                blind=0,
                seconds=request.lasting.total_seconds(),
            )

        @activity.defn(name="evidence.chart_figures")
        def chart(request: ChartFigures) -> StoredEvidence:
            world._done("evidence.chart_figures", request)
            return StoredEvidence(uri=f"file:///{request.incident_id}/{request.name}", sha256="0" * 64, size=1)

        return instead(super().activities(), snapshot, check, deployment, patterns, watch, chart)


async def _called_off() -> None:
    """Go on until the run calls the activity off."""
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)
