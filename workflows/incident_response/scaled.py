"""More pods for a degraded service, kept by a pause of its autoscaler (runbook 2.3 step 5; 3.1, 3.2)."""

from temporalio.exceptions import ActivityError

from activities.catalogue.service import Service
from activities.common.effects import Change
from activities.kubernetes.cluster import Kubernetes, ScaleDeployment
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.autoscaler_pause import AutoscalerPause
from workflows.shared.desk import Desk


class Scaled:
    """The replicas that one P2 run has added, as far as it keeps them from being taken away."""

    def __init__(self, run: Runbook, desk: Desk, service: Service) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.pause: AutoscalerPause | None = None

    @property
    def held(self) -> bool:
        """Whether the autoscaler is paused by this run."""
        return self.pause is not None and self.pause.held

    async def to(self, replicas: int) -> Change | None:
        """Scale up to a pinned number; None where that was refused, for example since another run holds the service."""
        if not await self._hold(replicas):
            return None
        scale = ScaleDeployment(
            namespace=self.service.namespace,
            deployment=self.service.deployment,
            replicas=replicas,
            at_least=True,
            effect=self.run.effect("scale"),
        )
        return await self.run.attempt("2.3/5", "Scale up", Kubernetes.scale, scale, policies.EFFECT)

    async def _hold(self, replicas: int) -> bool:
        """Pause the autoscaler, where there is one; one that is paused already needs no second pause."""
        service = self.service
        if self.held or not (service.hpa or service.scaled_object):
            return True
        lasting = max(service.scaling.lease, service.degradation.watch_for)
        self.pause = AutoscalerPause(self.run, self.desk, service, lasting, pausing="2.3/5", resuming="2.3/6")
        try:
            hold = await self.pause.acquire(replicas)
        except ActivityError:
            # Another run holds it, and scales by its own reasons: two would undo each other.
            return False
        if not hold.ours:
            self.run.say("problem", f"{hold.target} had been paused by somebody else: it stays as they want it")
        return True

    async def let_go(self) -> None:
        """Resume the autoscaler, in whatever way the run ends."""
        if self.pause is not None:
            await self.pause.release()

    async def hold_on(self) -> None:
        """Keep what was added until the pause ends by itself: another run goes on with the incident."""
        if self.pause is not None and self.held and not self.run.dry_run:
            await self.pause.lease.hold()

    def hold_no_longer(self, why: str) -> None:
        """End that before its time."""
        if self.pause is not None:
            self.pause.lease.end(why)
