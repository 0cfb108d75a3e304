"""More pods for a service in trouble, kept by a pause of its autoscaler (runbook 2.2 C, 2.3 step 5; 3.1, 3.2)."""

from typing import TYPE_CHECKING

from temporalio.exceptions import ActivityError

from activities.catalogue.service import Service
from activities.common.effects import Change
from activities.kubernetes.cluster import Kubernetes, ScaleDeployment
from workflows.platform import policies
from workflows.platform.lease import Lease
from workflows.platform.resets import before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.autoscaler_pause import AutoscalerPause
from workflows.shared.desk import Desk

if TYPE_CHECKING:
    import asyncio


class Scaled:
    """The replicas that one run has added, as far as it keeps them from being taken away.

    `scaling` and `resuming` are the runbook's steps that it belongs to.
    """

    def __init__(
        self, run: Runbook, desk: Desk, service: Service, *, scaling: str = "2.3/5", resuming: str = "2.3/6"
    ) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.scaling = scaling
        self.resuming = resuming
        self.pause: AutoscalerPause | None = None
        self._expiring: asyncio.Task[None] | None = None

    @property
    def autoscaled(self) -> bool:
        """Whether the service has an autoscaler."""
        return bool(self.service.hpa or self.service.scaled_object)

    @property
    def held(self) -> bool:
        """Whether the autoscaler is paused by this run."""
        return self.pause is not None and self.pause.held

    @property
    def leases(self) -> list[Lease]:
        """What it holds now, for whoever looks at the run."""
        return self.pause.leases if self.pause else []

    async def to(self, replicas: int, *, unheld: bool = False) -> Change | None:
        """Scale up to a pinned number; None where that was refused, for example since another run holds the service.

        `unheld`, more pods are better than none: they are added though nothing keeps them.
        """
        if not await self._hold(replicas) and not unheld:
            return None
        scale = ScaleDeployment(
            namespace=self.service.namespace,
            deployment=self.service.deployment,
            replicas=replicas,
            at_least=True,
            effect=self.run.effect("scale"),
        )
        return await self.run.attempt(self.scaling, "Scale up", Kubernetes.scale, scale, policies.EFFECT)

    async def as_before_reset(self, *, unheld: bool = False) -> None:
        """Take up what the run had scaled before somebody reset it, with what it holds."""
        scaling = await before_reset(self.run, self.scaling, self.run.first_effect("scale"))
        if scaling is not None:
            await self.to(scaling.asked(ScaleDeployment).replicas, unheld=unheld)

    async def _hold(self, replicas: int) -> bool:
        """Pause the autoscaler, where there is one; one that is paused already needs no second pause."""
        service = self.service
        if self.held or not self.autoscaled:
            return True
        lasting = max(service.scaling.lease, service.degradation.watch_for)
        self.pause = AutoscalerPause(
            self.run, self.desk, service, lasting, pausing=self.scaling, resuming=self.resuming
        )
        try:
            hold = await self.pause.acquire(replicas)
        except ActivityError:
            # Another run holds it, and scales by its own reasons: two would undo each other.
            return False
        if not hold.ours:
            self.run.say("problem", f"{hold.target} had been paused by somebody else: it stays as they want it")
        return True

    def expires(self) -> None:
        """Let the autoscaler go when the pause ends, though the run goes on: people may take days to close."""
        if self.pause is not None and self.held and not self.run.dry_run:
            self._expiring = self.run.background(self._expire(self.pause))

    async def _expire(self, pause: AutoscalerPause) -> None:
        await pause.lease.hold()
        await pause.release()

    async def let_go(self) -> None:
        """Resume the autoscaler, in whatever way the run ends."""
        if self.pause is not None and self._expiring is not None:
            self.pause.lease.end("the run's end")
            await self._expiring
        elif self.pause is not None:
            await self.pause.release()

    async def hold_on(self) -> None:
        """Keep what was added until the pause ends by itself: another run goes on with the incident."""
        if self.pause is not None and self.held and not self.run.dry_run:
            await self.pause.lease.hold()

    def hold_no_longer(self, why: str) -> None:
        """End that before its time."""
        if self.pause is not None:
            self.pause.lease.end(why)
