"""What a service has beside Deployments (runbook 7.2 step 3): StatefulSets are restarted, CronJobs are suspended.

A StatefulSet keeps what Deployments need at their start, so it is restarted before them. A CronJob whose Jobs would run
in the middle of a recovery is suspended until the service was found good, and given back in whatever way the run ends.
"""

import asyncio
from datetime import timedelta

from temporalio import workflow

from activities.catalogue.service import Service
from activities.kubernetes.workload_holds import WorkloadHolds
from workflows.disaster_recovery.recovery.retry_or_stop import GO_ON, STOP, RetryOrStop
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk
from workflows.shared.other_workloads import OtherWorkloads, WorkloadIn

_HELD = timedelta(hours=2)
"""Then another run may take the CronJobs over, and the sweep gives back those of a run that was terminated."""


class Beside:
    """The service's StatefulSets and CronJobs, as settings name them."""

    def __init__(self, run: Runbook, service: Service, ways: RetryOrStop) -> None:
        self.run = run
        self.ways = ways
        self.workloads = OtherWorkloads(run, service)
        at = {"namespace": service.namespace, "home": service.namespace}
        others = [WorkloadIn(**at, workload=one) for one in service.other_workloads]
        self.sets = [at for at in others if at.workload.kind == "StatefulSet"]
        self.jobs = [at for at in others if at.workload.kind == "CronJob"]
        self.restarted: list[str] = []
        self._looked_at: list[WorkloadIn] = []
        """The StatefulSets that must be ready; none where people go on without them."""

    def __bool__(self) -> bool:
        return bool(self.sets or self.jobs)

    def __str__(self) -> str:
        """Say what becomes of them."""
        sets, jobs = (", ".join(str(at.workload) for at in found) for found in (self.sets, self.jobs))
        said = [f"Before them {sets}." if sets else "", f"Suspended until it is good: {jobs}." if jobs else ""]
        return " ".join(filter(None, said))

    async def restart(self) -> str:
        """Suspend the CronJobs, replace the StatefulSets' pods and wait until they are ready; gives why it stops."""
        if self and workflow.patched("recovery-other-workloads"):
            return await self._go_through()
        return ""

    async def _go_through(self) -> str:
        await self.workloads.stop("7.2/3", self.jobs, workflow.now() + _HELD)
        while trouble := await self._restart():
            self.run.say("problem", trouble, section="7.2/3")
            names = ", ".join(str(at.workload) for at in self.sets)
            way = await self.ways.choose(
                "beside",
                trouble,
                retry=f"restart {names} again",
                go_on="go on with the Deployments",
                stop="stop here, and leave the rest to people",
            )
            if way == STOP:
                return trouble
            if way == GO_ON:
                self._looked_at = []
                break
        return ""

    async def _restart(self) -> str:
        done = await asyncio.gather(
            *(
                self.run.attempt(
                    "7.2/3",
                    f"Restart {at}",
                    WorkloadHolds.restart,
                    self.workloads.restarting(at),
                    policies.EFFECT,
                )
                for at in self.sets
            )
        )
        if self.run.dry_run:
            return ""
        refused = [f"{at} could not be restarted" for at, did in zip(self.sets, done, strict=True) if did is None]
        begun = [at for at, did in zip(self.sets, done, strict=True) if did is not None]
        self.restarted, self._looked_at = [str(at.workload) for at in begun], begun
        return "; ".join([*refused, *await self.workloads.ailing("7.2/3", begun)])

    async def ailing(self) -> list[str]:
        """Look at the StatefulSets again, after everything was restarted (step 4)."""
        return await self.workloads.ailing("7.2/4", self._looked_at)

    async def give_back(self, desk: Desk) -> None:
        """Let the CronJobs run again as they did; nothing where they were given back before."""
        await self.workloads.give_back(desk, "7.2/4")
