"""P2 incident response (runbook 2.3): a service that is degraded but works, brought back or raised to P1.

What each step does is in `p2/`, a module an idea.
"""

import asyncio
from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Mitigation, Service
from activities.monitoring.figures import Figures
from activities.records.activities import Records
from activities.records.alerts import Alert, ResolveAlert
from activities.records.incidents import OpenIncident
from workflows.incident_response.degraded import Reason
from workflows.incident_response.incident_run import IncidentRequest, abandon
from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p2.alerts import P2Alerts
from workflows.incident_response.p2.findings import P2Findings
from workflows.incident_response.p2.fixes import P2Fixes
from workflows.incident_response.p2.happened import Outcome
from workflows.incident_response.p2.parts import P2Parts
from workflows.incident_response.p2.watching import P2Watching
from workflows.incident_response.p2.words import P2Words
from workflows.incident_response.scaled import Scaled
from workflows.platform.clocks import Clock
from workflows.platform.lease import finally_do
from workflows.shared.continued import hands_over
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.shared_causes import SharedCauses


class P2Request(IncidentRequest):
    """Start a P2 incident; everything has a default where the catalogue has one service."""


class P2Result(BaseModel):
    """How the incident went."""

    incident_id: str = Field(description="Of the incident that goes on, where another one has it.")
    service: str
    outcome: Outcome
    reasons: list[Reason] = Field(default_factory=list, description="What the facts pointed to, in order.")
    fixes: list[Mitigation] = Field(default_factory=list)
    before: Figures = Figures()
    after: Figures = Figures()
    resolution: str = ""
    resolved_after: timedelta | None = Field(default=None, description="None in a plan: it resolved nothing.")
    evidence: list[str] = Field(default_factory=list)


@workflow.defn
class P2Incident(P2Words):
    """Acknowledge, assess, fix what is plain, watch, and resolve; what becomes worse goes on as P1."""

    SECTION = "2.3"

    @workflow.run
    async def run(self, request: P2Request) -> P2Result:
        """Follow 2.3 from the alert to its end.

        Raises:
            InvalidInput: the service is not in the catalogue.

        """
        # A run that goes on as a new incident does everything anew: its effects are not those of the last.
        self.epoch = (workflow.info().continued_run_id or "")[:8]
        service = await self.begin_incident(request, "P2", "p2-incident")
        self.phase("0–5 min: acknowledge and assess")
        other = await self.handing_on.joins(request.alert, service)
        if other is not None:
            return await self._join(request, service, other)
        incident = HushedIncident(self, service, "P2", self.title, request.commander, acknowledging="2.3/1")
        parts = self.parts = self._ready(request, incident)
        if request.alert is not None:
            parts.alerts.all.append(request.alert)
        self._start_clocks(service)
        try:
            outcome = await finally_do(self._respond(request, parts), parts.scaled.let_go)
            return await self._end(request, parts, outcome)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish(self.happened.handed_on or "cancelled")
                if self.happened.handed_on is None:  # else another run looks after it, and pages for it
                    await abandon(incident)
            raise

    async def _join(self, request: P2Request, service: Service, other: OpenIncident) -> P2Result:
        """Leave the trouble to the incident that is open already."""
        outcome = await self.handing_on.leave_to(other, request.alert, service)
        await self.settle()
        self.finish(outcome)
        self._begin_again(request)
        return P2Result(
            incident_id=other.incident_id, service=service.name, outcome=outcome, resolved_after=self._elapsed
        )

    def _ready(self, request: P2Request, incident: HushedIncident) -> P2Parts:
        """Get everything ready that the steps are made of."""
        service, happened, tried = incident.service, self.happened, self.mitigated_before()
        unwell_since = request.alert.starts_at if request.alert is not None else None
        unasked = request.unasked(service)
        scaled = Scaled(self, incident, service)
        return P2Parts(
            incident=incident,
            shared=SharedCauses(self, incident, "2.3/4"),
            scaled=scaled,
            alerts=P2Alerts(self, incident, happened),
            findings=P2Findings(self, incident, unwell_since),
            fixes=P2Fixes(self, incident, happened, scaled, tried, unasked=unasked),
            watching=P2Watching(self, service, happened),
        )

    @property
    def _elapsed(self) -> timedelta:
        return workflow.now() - workflow.info().workflow_start_time

    def _start_clocks(self, service: Service) -> None:
        self.clocks.start("Acknowledged", service.incident.acknowledge_within, self._late)
        self.clocks.start("Assessed", service.degradation.assess_within, self._late)
        self.clocks.start("Well again", service.degradation.respond_within, self._late)

    async def _late(self, clock: Clock) -> None:
        # Another run has it, whose own clocks page.
        if self.happened.handed_on is not None and hands_over(self):
            return
        await self.incident.escalate(f"deadline missed: {clock.name}")

    # -- the way through 2.3 -----------------------------------------------------------------------------

    async def _respond(self, request: P2Request, parts: P2Parts) -> Outcome:
        findings, fixes, happened = parts.findings, parts.fixes, self.happened
        opened = self.background(self._open(request))
        fixed = await fixes.taken_up()
        while not await self._is_over():
            facts = await findings.assess()
            await opened
            self.background(parts.shared.look(facts.pods))
            found = findings.judge(facts, set(fixes.tried))
            findings.reasons.append(found.reason)
            if not fixed:  # before a reset: what comes of it is seen first
                self.phase("Fix")
                await fixes.act_on(found)
            fixed = False
            if self.dry_run:
                return "planned"
            self.phase("Watch")
            watched = await parts.watching.watched(findings.rounds)
            if watched is not None:
                findings.after = watched.last
            if happened.ended or watched is None:
                continue
            if watched.verdict == "better":
                return await self._resolve(parts, f"{fixes.done}; {watched.last}")
            # Whoever keeps a service stopped brings it back: that is no outage.
            if watched.verdict == "down" and found.reason != "stopped" and not await parts.watching.is_stopped():
                happened.raising = f"the service is down: {watched.why}"
        if happened.closing is not None:
            return await self._close(happened.closing)
        self.phase("Handed on")
        return await self.handing_on.hand_on(request, parts)

    async def _open(self, request: P2Request) -> None:
        await self.incident.begin(request.alert)
        self.happened.opened = True

    async def _is_over(self) -> bool:
        """Tell that for good: a run that would take it in may have ended."""
        if self.happened.hands_over:
            await workflow.wait_condition(lambda: not self.happened.hands_over)
        return self.happened.ended

    # -- the ways out ------------------------------------------------------------------------------------

    async def _resolve(self, parts: P2Parts, resolution: str) -> Outcome:
        """Document and close (step 7)."""
        self.phase("Resolve")
        self.clocks.met("Well again")
        notes = self.happened.resolution = f"{resolution} (before: {parts.findings.before})"
        await asyncio.gather(
            *(self._resolve_alert(alert, notes) for alert in parts.alerts.all),
            self.incident.close(self.actor, notes, parts.findings.causes, publish=False),
        )
        return "resolved"

    async def _resolve_alert(self, alert: Alert, notes: str) -> None:
        resolve = ResolveAlert(
            source=alert.source,
            fingerprint=alert.fingerprint,
            starts_at=alert.starts_at,
            resolved_at=workflow.now(),
            notes=notes[:2000],
            effect=self.effect("resolve-alert"),
        )
        await self.keep("2.3/7", f"Resolve {alert.name}", Records.resolve_alert, resolve)

    async def _close(self, closing: Closing) -> Outcome:
        self.phase("Resolve")
        self.happened.resolution = closing.resolution
        self.say("decision", f"Closed: {closing.resolution}", who=f"{closing.who} ({closing.role})")
        await self.incident.close(closing.who, closing.resolution, closing.root_cause, publish=False)
        return "closed"

    async def _end(self, request: P2Request, parts: P2Parts, outcome: Outcome) -> P2Result:
        self.clocks.stop()
        await self.settle()
        self.finish(outcome)
        self._begin_again(request)
        return P2Result(
            incident_id=self.happened.taken_in or self.incident.id,
            service=self.incident.service.name,
            outcome=outcome,
            reasons=parts.findings.reasons,
            fixes=parts.fixes.did,
            before=parts.findings.before or Figures(),
            after=parts.findings.after,
            resolution=self.happened.resolution,
            resolved_after=self._elapsed,
            # A plan has written nothing and resolved nothing.
            evidence=[] if self.dry_run else [item.uri for item in self.incident.evidence.kept],
        )

    def _begin_again(self, request: P2Request) -> None:
        """Go on as a new incident, under the same workflow ID, where an alert has fired while this one was ending."""
        if self.happened.next_alert is not None:
            following = request.model_copy(update={"alert": self.happened.next_alert, "title": None})
            workflow.continue_as_new(following, memo=self.handed_on)
