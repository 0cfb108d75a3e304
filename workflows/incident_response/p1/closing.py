"""How a P1 is closed (2.2 steps 12 to 14): people are reminded of it, and health is watched until they do."""

from temporalio import workflow

from activities.common.errors import Refused
from activities.monitoring.health import HealthChecks, HealthRequest
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1.happened import P1Happened
from workflows.incident_response.watch import Watch
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.post_mortem_review import schedule_post_mortem


class P1Closing:
    """The end of one P1: a person says it."""

    def __init__(self, run: Runbook, incident: HushedIncident, happened: P1Happened, watch: Watch) -> None:
        self.run = run
        self.incident = incident
        self.was_healthy: bool | None = None
        """As the service said when people closed it; None: unknown, or nobody has."""
        self.unwell = ""
        """What the service said when people closed in spite of it."""
        self._happened = happened
        self._watch = watch

    async def said(self, closing: Closing) -> None:
        """Take the closing of a person who may.

        Raises:
            Refused: the service doesn't say it is healthy, and `force` isn't set.

        """
        service = self.incident.service
        health = await self.run.attempt(
            "2.2/12",
            "Health before closing",
            HealthChecks.check,
            HealthRequest(url=service.health_url),
            policies.READ,
        )
        unwell = "" if health is not None and health.healthy else str(health or "could not be asked")
        if unwell and not closing.force:
            raise Refused(f"{service.name} is not healthy ({unwell}): close with --force, or wait")
        if self._happened.closing is None:
            self._happened.closing, self.unwell = closing, unwell
            self.was_healthy = None if health is None else health.healthy

    async def awaited(self, *, told: bool) -> bool:
        """Wait for a person to close, reminding; False when an alert has fired, or health doesn't hold.

        `told`, the message of a restored service has said that it can be closed.
        """
        happened = self._happened
        if not happened.today:
            happened.fired_again = False
        self.run.wait_for("close")
        if not told:
            await self.incident.tell(
                "closable", f":ballot_box_with_check: {self.incident.id} can be closed: `runbooks close`"
            )
        if happened.today:
            await self._watch_until_said()
        while happened.closing is None and not happened.fired_again and not happened.today:
            try:
                await workflow.wait_condition(
                    lambda: happened.closing is not None or happened.fired_again,
                    timeout=self.incident.service.incident.close_reminder,
                    timeout_summary="reminder to close",
                )
            except TimeoutError:
                await self.incident.tell("reminder", f":alarm_clock: {self.incident.id} is still open")
        self.run.wait_for("")
        return happened.closing is not None

    async def _watch_until_said(self) -> None:
        """Remind of closing, and look whether health still holds; ends when there is something to do."""
        service = self.incident.service
        every = service.incident.close_reminder
        remind_at = workflow.now() + every
        self._watch.anew()
        while self._happened.closing is None and not self._happened.fired_again:
            self._happened.changed_hands = False
            if workflow.now() >= remind_at:
                remind_at = workflow.now() + every
                await self.incident.tell("reminder", f":alarm_clock: {self.incident.id} is still open")
            elif await self._watch.pause(remind_at - workflow.now()) and await self._watch.healthy() is False:
                self.run.say("problem", f"{service.name} is not healthy any more: looking again")
                return

    async def done(self) -> None:
        """Close, tell, schedule the post-mortem (steps 12 to 14)."""
        closing = self._happened.closing
        assert closing is not None
        self.run.say("decision", f"Closed: {closing.resolution}", who=f"{closing.who} ({closing.role})")
        if self.unwell:
            problem = f"Closed although {self.incident.service.name} is not healthy: {self.unwell}"
            self.run.say("problem", problem)
        await self.incident.close(
            closing.who,
            closing.resolution,
            closing.root_cause,
            unwell=self.unwell,
            publish=self.incident.published or not self._happened.today,
        )
        await schedule_post_mortem(self.incident, closing.resolution, closing.root_cause)
