"""Whether the service of a P1 is restored, and stays so (runbook 2.2 step 6)."""

from temporalio import workflow

from activities.kubernetes.cluster import AwaitRollout, Kubernetes
from activities.monitoring.health import HealthChecks, HealthRequest, SteadyRequest
from workflows.incident_response.command import Declined
from workflows.incident_response.p1.deadlines import P1Deadlines
from workflows.incident_response.p1.happened import P1Happened
from workflows.incident_response.watch import Watch
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident


class P1Health:
    """The health of one P1's service, as it is waited for and watched."""

    def __init__(
        self,
        run: Runbook,
        incident: HushedIncident,
        happened: P1Happened,
        watch: Watch,
        deadlines: P1Deadlines,
        *,
        declined: Declined,
    ) -> None:
        self.run = run
        self.incident = incident
        self.service = incident.service
        self._happened = happened
        self._watch = watch
        self._deadlines = deadlines
        self._declined = declined

    async def verified(self) -> bool:
        """Wait for the rollout, then for health that holds (step 6)."""
        service, policy = self.service, self.service.incident
        lasting = policies.WAIT.lasting(policy.verify_timeout)
        await self.run.attempt(
            "2.2/6",
            "Rollout",
            Kubernetes.await_rollout,
            AwaitRollout(namespace=service.namespace, deployment=service.deployment, timeout=policy.verify_timeout),
            lasting,
        )
        health = await self.run.attempt(
            "2.2/6", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ
        )
        # One good answer may be a blip: what counts is health that holds. Runs from before counted the answer.
        if health is not None and health.healthy and not workflow.patched("mitigated-when-steady"):
            self._mitigated()
        steady = await self.run.attempt(
            "2.2/6",
            "Steady health",
            HealthChecks.steady,
            SteadyRequest(
                url=service.health_url,
                steady_for=policy.steady_for,
                give_up_after=policy.steady_for + policy.verify_timeout,
            ),
            policies.WAIT.lasting(policy.steady_for + policy.verify_timeout),
        )
        if steady is None or not steady.steady:
            return False
        self._mitigated()
        return True

    async def looked_on(self) -> bool:
        """Only look, and remind; True once health holds, False where there may be something to do."""
        every, self._happened.changed_hands = self.service.incident.reminder, False
        remind_at = workflow.now() + every
        while not self._happened.something():
            if await self._watch.healthy():
                return await self.verified()
            if workflow.now() < remind_at:
                await self._watch.pause(remind_at - workflow.now())
            elif held := self.incident.held_by:
                remind_at = workflow.now() + every
                text = f":alarm_clock: {held} has {self.incident.id}; {self.service.name} is not healthy yet"
                await self.incident.tell("yours", f"{text}. `runbooks hand-back` gives it back")
            else:
                return False  # perhaps something else is proposed by now
        return False

    def take_back(self) -> None:
        """Take back what was reached and doesn't hold; told and recorded, and its clocks run anew."""
        lapse = self._deadlines.set_anew()
        if lapse is None:
            return
        self._declined.forget()
        self._watch.anew()
        self.run.background(self.incident.relapsed(lapse.met_at, lapse.lost_at))

    def _mitigated(self) -> None:
        if self.run.clocks.met("Mitigated"):
            self.run.background(self.incident.reached("mitigated"))
