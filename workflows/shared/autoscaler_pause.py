"""The autoscaler, paused for a lease and resumed on every way out (runbook 3.2, 7.3; ARCHITECTURE, rule 5)."""

import asyncio
from datetime import timedelta

from temporalio.exceptions import ActivityError, ApplicationError

from activities.autoscaling.autoscalers import (
    Autoscalers,
    Hold,
    HoldAutoscaler,
    Kind,
    Release,
    ReleaseAutoscaler,
    RenewHold,
)
from activities.catalogue.service import Service
from workflows.platform import policies
from workflows.platform.lease import Lease
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk, insist


class AutoscalerPause:
    """One autoscaler, as far as one run holds it.

    `pausing` and `resuming` are the runbook's steps that it belongs to.
    """

    def __init__(
        self,
        run: Runbook,
        desk: Desk,
        service: Service,
        lasting: timedelta,
        *,
        pausing: str = "3.2/1",
        resuming: str = "3.2/6",
    ) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.pausing = pausing
        self.resuming = resuming
        self.lease = Lease.of("the autoscaler's pause", lasting, service.scaling.longest_lease)
        self.released: Release | None = None
        self._effect = run.effect("pause-autoscaler")
        self._acquiring: asyncio.Task[Hold] | None = None

    @property
    def hold(self) -> Hold | None:
        """What is held; None before it is known, and where nothing could be held."""
        task = self._acquiring
        known = task is not None and task.done() and not task.cancelled() and task.exception() is None
        return task.result() if task is not None and known else None

    async def acquire(self, floor: int) -> Hold:
        """Pause it, or find that somebody else has.

        Raises:
            ActivityError: there is none, another run holds it, or it could not be paused.

        """
        request = HoldAutoscaler(
            namespace=self.service.namespace,
            scaled_object=self.service.scaled_object,
            hpa=self.service.hpa,
            lease=self._effect.key,
            until=self.lease.until,
            floor=floor,
            effect=self._effect,
        )
        self._acquiring = asyncio.create_task(
            self.run.step(self.pausing, "Pause the autoscaler", Autoscalers.hold, request, policies.EFFECT)
        )
        # Shielded: a cancellation must not leave it open whether the autoscaler is paused.
        hold = await asyncio.shield(self._acquiring)
        if hold.until is not None:
            # Of a run that was reset: what is told of the pause is what the autoscaler says, and people have read.
            self.lease.until = hold.until
        return hold

    @property
    def leases(self) -> list[Lease]:
        """What it holds now, for whoever looks at the run."""
        return [self.lease] if self.held and not self.run.dry_run and not self.lease.ended_by else []

    @property
    def held(self) -> bool:
        """Whether it is held for this run: neither left to somebody else, nor let go before a reset."""
        return self.hold is not None and self.hold.ours and not self.hold.over

    async def renew(self) -> None:
        """Write the lease's new end where people look for it."""
        if self.hold is None:
            return
        await self.run.attempt(
            self.resuming,
            "Extend the pause",
            Autoscalers.renew,
            RenewHold(
                namespace=self.service.namespace,
                kind=self.hold.kind,
                name=self.hold.name,
                lease=self._effect.key,
                until=self.lease.until,
                effect=self.run.effect("extend-pause"),
            ),
            policies.RECORD,
        )

    async def release(self) -> None:
        """Resume it, unless it was never ours; the on-call is paged while that doesn't succeed."""
        self.lease.end("the run's end")
        if self.run.dry_run or not await self._maybe_held():
            return
        held: list[tuple[Kind, str]]
        if self.hold is not None:
            held = [(self.hold.kind, self.hold.name)]
        else:
            # The answer was lost: whichever has our mark is ours, and letting go what isn't does nothing.
            named = (("ScaledObject", self.service.scaled_object), ("HorizontalPodAutoscaler", self.service.hpa))
            held = [(kind, name) for kind, name in named if name]  # type: ignore[misc]
        for kind, name in held:
            found = await self._release(kind, name)
            # Of two that may have been held, the one that was tells how it went.
            if self.released is None or found.resumed:
                self.released = found
        how = f": {self.released}" if self.released else ""
        over = f":arrow_forward: The autoscaler's pause is over ({self.lease.ended_by}){how}"
        await self.desk.tell("resumed", over)

    async def _maybe_held(self) -> bool:
        if self._acquiring is None:
            return False
        try:
            return (await self._acquiring).ours
        except ActivityError as error:
            # What was refused has not happened; anything else may have.
            return not (isinstance(error.cause, ApplicationError) and error.cause.non_retryable)

    async def _release(self, kind: Kind, name: str) -> Release:
        request = ReleaseAutoscaler(
            namespace=self.service.namespace,
            kind=kind,
            name=name,
            lease=self._effect.key,
            effect=self.run.effect("resume-autoscaler"),
        )
        return await insist(
            self.desk,
            self.resuming,
            "Resume the autoscaler",
            Autoscalers.release,
            request,
            undone=f"{kind} {self.service.namespace}/{name} is still paused",
        )
