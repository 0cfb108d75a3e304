"""Workloads beside a service's own Deployment, as one run stops, restarts and gives them back (runbook 7)."""

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.catalogue.service import Service
from activities.catalogue.workloads import WorkloadPolicy
from activities.kubernetes.workload_holds import (
    AwaitWorkload,
    GiveWorkloadBack,
    RestartWorkload,
    StopWorkload,
    WorkloadHolds,
)
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk, insist


class WorkloadIn(BaseModel):
    """One workload, and where it is."""

    namespace: str
    home: str = Field(description="Namespace of the service that the run is about.")
    workload: WorkloadPolicy = Field(description="Of whichever service.")

    @property
    def fields(self) -> dict[str, str]:
        """Give it as the activities' requests name it."""
        return {"namespace": self.namespace, "kind": self.workload.kind, "name": self.workload.name}

    @property
    def step(self) -> str:
        """Name its effects; a kind, and another namespace, tell two of one name apart."""
        where = "" if self.namespace == self.home else f"{self.namespace}-"
        return f"{where}{self.workload.kind.lower()}-{self.workload.name}"

    def __str__(self) -> str:
        return f"{self.workload} in {self.namespace}"


class OtherWorkloads:
    """What one run does to workloads that it doesn't scale or release."""

    def __init__(self, run: Runbook, service: Service) -> None:
        self.run = run
        self.service = service
        self._begun: list[WorkloadIn] = []

    async def stop(self, section: str, workloads: Iterable[WorkloadIn], until: datetime) -> list[str]:
        """Stop them all, and wait until nothing of them runs; gives what can't be stopped or still runs."""
        found = await asyncio.gather(*(self._stop(section, at, until) for at in workloads))
        return [doubt for doubt in found if doubt]

    async def _stop(self, section: str, at: WorkloadIn, until: datetime) -> str:
        if not self.run.dry_run:
            self._begun.append(at)
        request = StopWorkload(**at.fields, until=until, effect=self.run.effect(f"stop-{at.step}"))
        done = await self.run.attempt(section, f"Stop {at}", WorkloadHolds.stop, request, policies.EFFECT)
        if self.run.dry_run:
            return ""
        seen = await self.wait(section, at, "stopped")
        if done is not None and not seen:
            return ""
        doubt = f"{at}: {seen or 'it could not be stopped'}"
        self.run.say("problem", doubt, section=section)
        return doubt

    async def give_back(self, desk: Desk, section: str) -> None:
        """Give back each that was stopped; each though another fails."""
        begun, self._begun = self._begun, []
        await asyncio.gather(*(self._give_back(desk, section, at) for at in begun))

    async def _give_back(self, desk: Desk, section: str, at: WorkloadIn) -> None:
        request = GiveWorkloadBack(**at.fields, effect=self.run.effect(f"give-back-{at.step}"))
        undone = f"{at} is still stopped"
        work = insist(desk, section, f"Give {at} back", WorkloadHolds.give_back, request, undone=undone)
        await or_tell(desk, work, f"{undone}: give it back by hand")

    def restarting(self, at: WorkloadIn) -> RestartWorkload:
        """Give the request that replaces its pods."""
        effect = self.run.effect(f"restart-{at.step}")
        return RestartWorkload(**at.fields, restarted_at=workflow.now(), effect=effect)

    async def wait(self, section: str, at: WorkloadIn, want: str) -> str:
        """Wait until it is `ready` or `stopped`; gives what it isn't."""
        within = self.service.scaling.ready_within
        request = AwaitWorkload(**at.fields, want=want, timeout=within)
        title = f"{at} is {want}"
        seen = await self.run.attempt(section, title, WorkloadHolds.await_it, request, policies.WAIT.lasting(within))
        return "could not be looked at" if seen is None else seen.waiting_for

    async def ailing(self, section: str, workloads: Iterable[WorkloadIn]) -> list[str]:
        """Wait until all of them are ready; gives what is not."""
        looked = list(workloads)
        found = await asyncio.gather(*(self.wait(section, at, "ready") for at in looked))
        return [f"{at}: {why}" for at, why in zip(looked, found, strict=True) if why]


async def or_tell(desk: Desk, work: Coroutine[Any, Any, object], trouble: str) -> None:
    """Do it, or page people where it was refused."""
    try:
        await work
    except ActivityError:
        await desk.escalate(trouble)
