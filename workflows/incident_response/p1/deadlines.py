"""The deadlines of a P1 (runbook 2.2): clocks, not waits. One that is missed escalates once."""

from workflows.platform.clocks import Clock, Lapse
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident


class P1Deadlines:
    """When what is to be reached."""

    def __init__(self, run: Runbook, incident: HushedIncident) -> None:
        self.run = run
        self.incident = incident
        self.policy = incident.service.incident

    def set_all(self) -> None:
        """Start the clocks."""
        policy = self.policy
        self.run.clocks.start("Acknowledged", policy.acknowledge_within, self._late)
        self.run.clocks.start("Assessed", policy.assess_within, self._late)
        self.run.clocks.start("Mitigated", policy.mitigate_within, self._late)
        self.run.clocks.start("Stable", policy.stabilise_within, self._late)

    def set_anew(self) -> Lapse | None:
        """Take back what was reached and doesn't hold; None where it hadn't been reached."""
        policy = self.policy
        lapse = self.run.clocks.lost("Mitigated", policy.mitigate_within, self._late)
        if lapse is not None:
            self.run.clocks.lost("Stable", policy.stabilise_within, self._late)
        return lapse

    async def _late(self, clock: Clock) -> None:
        """Escalate a missed deadline, once; the public hears of an outage that lasts."""
        await self.incident.escalate(f"deadline missed: {clock.name}")
        if clock.name == "Mitigated" and not self.incident.held_by:
            await self.incident.status_page("2.2/7", "Investigating", "We are investigating an outage.")
