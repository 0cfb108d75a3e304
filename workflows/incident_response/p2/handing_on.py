"""How the incident of a P2 goes to another run (runbook 2.3): it joins one, is raised to P1, or a P1 takes it in.

One incident a service, and always one run that has it: never two, and never none.
"""

from collections.abc import Coroutine
from typing import Any

from temporalio import workflow

from activities.catalogue.service import Service
from activities.records.activities import Records
from activities.records.alerts import AcknowledgeAlert, Alert
from activities.records.incidents import OpenIncident
from workflows.incident_response.incident_run import IncidentRequest
from workflows.incident_response.joined_alerts import named_end
from workflows.incident_response.p2.happened import Outcome, P2Happened
from workflows.incident_response.p2.parts import P2Parts
from workflows.incident_response.raised import go_on_as_p1
from workflows.platform.lease import shielded
from workflows.platform.runbook import Runbook
from workflows.shared.continued import (
    HANDED_OVER,
    JOINED,
    HandedOver,
    Joined,
    TakenIn,
    hands_over,
    open_incidents,
    p1_run_id,
    reach,
    tell,
)


class P2HandingOn:
    """Whose one P2's incident is."""

    def __init__(self, run: Runbook, happened: P2Happened) -> None:
        self.run = run
        self._happened = happened

    # -- at the beginning: it joins another --------------------------------------------------------------

    async def joins(self, alert: Alert | None, service: Service) -> OpenIncident | None:
        """Leave the trouble to the incident that is open already; None where there is none that takes it."""
        for other in await open_incidents(self.run, "2.3/1", service, ["P1", "P2"]):
            if self.run.dry_run:
                self.run.say("decision", f"would join {other.severity} {other.incident_id}, which is open")
                continue
            if await tell(self.run, other, JOINED, Joined(what=self.run.title, who=self.run.actor, alert=alert)):
                return other
        return None

    async def leave_to(self, other: OpenIncident, alert: Alert | None, service: Service) -> Outcome:
        """Leave it to the incident that it joins: one incident a service, the worst leads."""
        self.run.say("decision", f"{other.severity} {other.incident_id} of {service.name} is open: this joins it")
        if alert is not None:
            acknowledge = AcknowledgeAlert(
                alert=alert,
                incident_id=other.incident_id,
                service=service.name,
                severity=other.severity,
                effect=self.run.effect("acknowledge"),
            )
            title = f"Acknowledge {alert.name} for {other.incident_id}"
            await self.run.keep("2.3/1", title, Records.acknowledge_alert, acknowledge)
        outcome: Outcome = "taken in" if other.severity == "P1" else "joined"
        if hands_over(self.run):
            # What else the webhook has for this run waits for it, and is the other's too.
            happened = self._happened
            happened.other, happened.handed_on, happened.listens = other.workflow_id, outcome, True
        return outcome

    # -- in the midst of it: a P1 begins, and asks for it ------------------------------------------------

    async def hand_over(self, by: TakenIn, parts: P2Parts | None) -> None:
        """Give a P1 the incident, unless it is ending; where that run has ended, this one goes on."""
        happened = self._happened
        if happened.resolution or happened.ended or happened.handed_on is not None or parts is None:
            await reach(by.workflow_id, HANDED_OVER, HandedOver(so_far=None))
            return
        # Nothing else ends it while the other is being told.
        happened.hands_over, happened.taken_in = True, parts.incident.id
        happened.resolution = f"Goes on as P1: {by.why or by.workflow_id}. {parts.fixes.done}"[:2000]
        so_far = parts.incident.so_far(by.why or "a P1 of the service")
        handed = HandedOver(so_far=so_far, alerts=parts.alerts.firing)
        if await reach(by.workflow_id, HANDED_OVER, handed):
            given = f"Handed over to {by.workflow_id}, which goes on with {parts.incident.id} as P1"
            self.run.say("decision", given)
            happened.handed_over, happened.listens, happened.handed_on = True, True, "taken in"
        else:
            self.run.say("problem", f"{by.workflow_id} would take this in, and has ended: it stays here")
            happened.taken_in, happened.resolution = "", ""
        happened.hands_over = False

    # -- at the end: it is raised, or was taken in -------------------------------------------------------

    async def hand_on(self, request: IncidentRequest, parts: P2Parts) -> Outcome:
        """Leave the incident to a P1, which goes on with it or has taken it in; what was scaled is held on."""
        happened = self._happened
        happened.listens = workflow.patched("handed-on-listens")
        if not happened.taken_in:
            self.run.say("decision", f"Raised to P1: {happened.raising}")
            happened.resolution = happened.raising
            await self._to_its_end(self._raise(request, parts))
        if happened.taken_in and not happened.handed_over:
            happened.resolution = f"Taken in by {happened.taken_in}. {parts.fixes.done}"
            happened.handed_on = "taken in" if happened.listens else None
            closing = parts.incident.close(self.run.actor, happened.resolution, parts.findings.causes, publish=False)
            await self._to_its_end(closing)
        await parts.scaled.hold_on()
        return "taken in" if happened.taken_in else "raised"

    async def _to_its_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it though the run is cancelled meanwhile: nothing may be left that two runs have, or none."""
        await (shielded(work) if self._happened.listens else work)

    async def _raise(self, request: IncidentRequest, parts: P2Parts) -> None:
        """Start the P1 that goes on with this incident; where one runs already, it has it."""
        incident, first, why = parts.incident, request.alert, self._happened.raising
        others = [alert for alert in parts.alerts.firing if alert != first]
        if not await go_on_as_p1(self.run, "2.3", incident, why, alert=first, joined=others):
            service = incident.service
            self.run.say("decision", f"{service.name} has a P1 already, which takes this in")
            running = await open_incidents(self.run, "2.3", service, ["P1"])
            self._happened.taken_in = running[0].incident_id if running else p1_run_id(service.name)
        elif self._happened.listens:
            self._happened.handed_on = "raised"

    # -- afterwards: what it hears is the other's --------------------------------------------------------

    async def pass_on(self, alert: Alert, parts: P2Parts | None) -> None:
        """Give news to the run that has the incident; where that has ended, a firing begins a new one at once."""
        ends = alert.status == "resolved"
        if not ends and self.run.has_taken(alert):
            return
        if not ends:
            self.run.took(alert)
        assert self.run.service is not None
        p1 = p1_run_id(self.run.service.name)
        other = self._happened.other or p1
        named = "the P1" if other == p1 else other
        if await reach(other, "alert", alert):
            self.run.say("signal", f"{alert.name} {'has resolved' if ends else 'fires'}: told to {named}")
        elif not ends:
            self.run.say("signal", f"{alert.name} fires, and {named} has ended: a new incident follows")
            self._happened.next_alert = alert
            if parts is not None and not self._happened.other:
                parts.scaled.hold_no_longer("a new incident")
        elif parts is not None and not self._happened.other:
            await parts.incident.alert_resolved(named_end(alert, parts.alerts.all))

    async def pass_on_joined(self, joined: Joined) -> None:
        """Tell the run that this one has joined who else has met the trouble."""
        await reach(self._happened.other, JOINED, joined)
