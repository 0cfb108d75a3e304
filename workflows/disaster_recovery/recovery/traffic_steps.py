"""Traffic, taken away from an ailing service and brought back in steps (runbook 7.2 step 6).

A step counts when the service was well for the policy's time under it. A step that wasn't is taken back, and the one
below must be well anew before the next try. In whatever way the run ends, traffic is not left at a step that wasn't.
"""

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.service import Service
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.releases.watch import ReleaseWatch
from audit.text import counted
from workflows.disaster_recovery.recovery.components import watching
from workflows.disaster_recovery.recovery.retry_or_stop import STOP, RetryOrStop
from workflows.disaster_recovery.recovery.traffic_levers import Lever
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.platform.steps import reason
from workflows.shared.desk import Desk

_ALL = 100


class TrafficSteps:
    """The traffic of one service, as far as one recovery moves it."""

    def __init__(self, run: Runbook, desk: Desk, service: Service, lever: Lever | None, ways: RetryOrStop) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.lever = lever
        self.ways = ways
        self.held = lever.before if lever else _ALL
        """The share that traffic goes back to: the last at which the service was well, or the one it began with."""
        self._taken_away = False
        self._moved = False

    async def take_away(self) -> None:
        """Bring it to the least there is, before anything is restarted.

        Raises:
            ActivityError: it could not be moved; nothing has been restarted.

        """
        if self.lever is None or self._taken_away or self.lever.before <= self.lever.drained:
            return
        self._taken_away = self._moved = True
        await self.lever.set(self.lever.drained)
        if not self.run.dry_run:
            self.held = self.lever.drained

    async def stay(self) -> None:
        """Leave it where it is."""

    async def restore(self) -> bool:
        """Bring it back; False where people say to stop."""
        if self.lever is None:
            self.run.say("step", "Traffic is not in this run's hands (recovery.traffic.mode)", section="7.2/6")
            return True
        while True:
            try:
                trouble = await self._rise(self.lever)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                trouble = f"traffic could not be moved: {reason(error)}"
            if not trouble:
                return True
            way = await self.ways.choose(
                "traffic",
                trouble,
                retry="look where traffic is, and go on from there",
                go_on=None,
                stop=f"leave it at {self.held} %, in human hands",
            )
            if way == STOP:
                return False
            await self._look_again(self.lever)

    async def _rise(self, lever: Lever) -> str:
        """Go up step by step; gives why it doesn't go on."""
        policy = self.service.recovery.traffic
        if self.run.dry_run:
            await lever.set(policy.steps[0])
            self.run.say("decision", f"would go on: {', '.join(f'{step} %' for step in policy.steps)}", section="7.2/6")
            return ""
        if self.held >= _ALL:
            self.run.say("step", "All of the traffic reaches the service already", section="7.2/6")
        failures = 0
        below = [self.held]
        while above := [step for step in policy.steps if step > below[-1]]:
            trouble = await self._step(lever, above[0])
            if not trouble:
                below.append(above[0])
                continue
            failures += 1
            self.run.say("problem", f"{above[0]} % is too much: {trouble}. Back to {below[-1]} %", section="7.2/6")
            await lever.set(below[-1])
            if failures >= policy.failures:
                failed = counted(failures, "step of traffic has", "steps of traffic have")
                return f"{failed} failed, the last at {above[0]} %: {trouble}"
            await self._settle(lever, below)
        return ""

    async def _settle(self, lever: Lever, below: list[int]) -> None:
        """Wait until the service is well at a step below, going further down where it isn't."""
        while len(below) > 1:
            if not await self._well(below[-1]):
                return
            below.pop()
            self.held = below[-1]
            await lever.set(self.held)
        hold = self.service.recovery.traffic.hold
        await workflow.sleep(hold, summary=f"traffic stays at {self.held} % before the next try")

    async def _step(self, lever: Lever, percent: int) -> str:
        self._moved = True
        await lever.set(percent)
        trouble = await lever.effective() or await self._well(percent)
        if not trouble:
            self.held = percent
            await self.desk.tell(f"traffic-{percent}", f":vertical_traffic_light: {percent} % of the traffic, and well")
        return trouble

    async def _well(self, percent: int) -> str:
        """Watch for the time that a step must hold; gives what is wrong."""
        hold = self.service.recovery.traffic.hold
        watched = await self.run.attempt(
            "7.2/6",
            f"Watch at {percent} %",
            ReleaseWatch.watch,
            watching(self.service, hold),
            policies.WAIT.lasting(hold),
        )
        if watched is None:
            return "nobody could watch it"
        if watched.samples == watched.blind:
            self.run.say("problem", "There were no figures: health alone has been watched", section="7.2/6")
        return watched.breach or watched.unsettled

    async def _look_again(self, lever: Lever) -> None:
        try:
            # What was brought up without having been well doesn't count; what somebody has lowered does.
            self.held = min(self.held, await lever.look())
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise  # otherwise the next try of moving it tells the same

    @property
    def share(self) -> int | None:
        """What reaches the service at the end, per cent; None where that is not in the run's hands."""
        return self.held if self.lever else None

    # -- on the way out ----------------------------------------------------------------------------------------

    async def leave(self, *, trusted: bool) -> str:
        """Leave traffic where the service is known to be well, whatever the run was doing; gives what people must know.

        Where no step has been well yet, the share of before comes back if the service says it is healthy and is
        `trusted`; else it stays away, and people are told how to bring it back.
        """
        if self.lever is None or not self._moved or self.run.dry_run:
            return ""
        percent = self.held
        if self._taken_away and percent == self.lever.drained and trusted and await self._healthy():
            percent = self.lever.before
        told = f"traffic is left at {percent} %, where it was {self.lever.before} % before"
        try:
            await self.lever.insist(self.desk, percent)
        except ActivityError as error:
            told = f"traffic could not be brought to {percent} %: {reason(error)}"
        else:
            self.held = percent
            if percent >= self.lever.before:
                self.run.say("decision", told, section="7.2/6")
                return ""
        told = f"{told}: bring it back by the policy's steps, or by another full-service-recovery"
        self.run.say("decision", told, section="7.2/6")
        return told

    async def _healthy(self) -> bool:
        asked = HealthRequest(url=self.service.health_url)
        health = await self.run.attempt("7.2/6", "Health", HealthChecks.check, asked, policies.READ)
        return health is not None and health.healthy
