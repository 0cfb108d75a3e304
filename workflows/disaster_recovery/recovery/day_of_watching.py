"""The watch over a recovered service (runbook 7.2 step 7): a look an hour, for a day.

Between two looks there is nothing but a durable timer. What a look finds pages people once, and the watch goes on.
"""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

from activities.catalogue.service import Service
from activities.kubernetes.workloads import Workloads, WorkloadsRequest
from activities.releases.watch import ReleaseWatch
from workflows.disaster_recovery.recovery.components import rollouts, watching
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.desk import Desk

CLOCK = "the clock"
"""What ends a watch that nobody ends."""


class DayOfWatching:
    """One service, watched."""

    def __init__(self, run: Runbook, desk: Desk, service: Service) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.looks = 0
        self.problems: list[str] = []
        self.trouble = ""
        """What the last look found."""
        self.ended_by = ""
        self.open = False

    async def keep(self) -> None:
        """Watch until the policy's time is up, or a person says that it is enough."""
        policy = self.service.recovery
        self.open = True
        due, end = workflow.now(), workflow.now() + policy.watch_for
        while due < end and not self.ended_by:
            due = min(due + policy.watch_every, end)
            if await self._until(due):
                await self._look()
        self.open = False
        self.ended_by = self.ended_by or CLOCK

    def end(self, by: str) -> None:
        """End it early; the first to say so counts."""
        self.ended_by = self.ended_by or by

    async def _until(self, due: datetime) -> bool:
        """Wait for the next look; False where the watch was ended before."""
        try:
            await workflow.wait_condition(
                lambda: bool(self.ended_by),
                timeout=max(due - workflow.now(), timedelta(0)),
                timeout_summary=f"look {self.looks + 1} at {due:%H:%M %Z}",
            )
        except TimeoutError:
            return True
        return False

    async def _look(self) -> None:
        """Look at health, figures and Deployments."""
        self.looks += 1
        service, look_for = self.service, self.service.recovery.look_for
        watched, found = await asyncio.gather(
            self.run.attempt(
                "7.2/7",
                f"Look {self.looks}",
                ReleaseWatch.watch,
                watching(service, look_for),
                policies.WAIT.lasting(look_for),
            ),
            self.run.attempt(
                "7.2/7",
                "Deployments",
                Workloads.deployments,
                WorkloadsRequest(namespace=service.namespace),
                policies.READ,
            ),
        )
        trouble = [] if watched is None else list(filter(None, (watched.breach, watched.unsettled)))
        if watched is None:
            trouble = ["health and figures could not be looked at"]
        if found is not None and found.ailing:
            # It may be a release that has just begun: only one that doesn't end is a problem.
            names = [state.name for state in found.ailing]
            trouble += (await rollouts(self.run, "7.2/7", service, names)).values()
        await self._judge("; ".join(trouble))

    async def _judge(self, trouble: str) -> None:
        before, self.trouble = self.trouble, trouble
        if trouble:
            self.problems.append(f"{workflow.now():%Y-%m-%d %H:%M} UTC: {trouble}")
            self.run.say("problem", f"Look {self.looks}: {trouble}", section="7.2/7")
        if trouble and not before:
            await self.desk.escalate(f"{self.service.name}, recovered and being watched: {trouble}")
        elif before and not trouble:
            await self.desk.tell("well-again", f":large_green_circle: {self.service.name} is well again")
