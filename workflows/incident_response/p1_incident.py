"""P1 incident response (runbook 2.2): from an alert to a closed incident.

The phases are clocks, not waits: work goes on as fast as the facts allow, and a deadline that is missed escalates once.
What each phase does is in `p1/`, a module an idea.
"""

import asyncio
from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Mitigation
from activities.records.alerts import Alert
from workflows.incident_response.incident_run import IncidentRequest, abandon
from workflows.incident_response.p1.alerts import P1Alerts
from workflows.incident_response.p1.closing import P1Closing
from workflows.incident_response.p1.deadlines import P1Deadlines
from workflows.incident_response.p1.findings import P1Findings
from workflows.incident_response.p1.happened import P1Happened
from workflows.incident_response.p1.health import P1Health
from workflows.incident_response.p1.mitigations import P1Mitigations
from workflows.incident_response.p1.parts import P1Parts
from workflows.incident_response.p1.words import P1Words
from workflows.incident_response.scaled import Scaled
from workflows.incident_response.situations import Reason
from workflows.incident_response.watch import Watch
from workflows.platform.clocks import Lapse
from workflows.platform.lease import Lease, finally_do
from workflows.shared.continued import IncidentSoFar
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.shared_causes import SharedCauses

_SHORTEST_ROUND = timedelta(seconds=10)
"""A round of looking that did nothing and was over sooner is followed by a pause."""


class P1Request(IncidentRequest):
    """Start a P1 incident; everything has a default where the catalogue has one service."""

    continues: IncidentSoFar | None = Field(
        default=None, description="The P2 incident that has become worse; set by its run."
    )
    joined: list[Alert] = Field(default=[], description="Further alerts of the same trouble; set by the run before.")


class P1Result(BaseModel):
    """How the incident went."""

    incident_id: str
    service: str
    outcome: Literal["closed", "planned"]
    mitigations: list[Mitigation]
    reasons: list[Reason] = Field(default=[], description="What the facts pointed to, in order.")
    resolution: str = ""
    root_cause: str = ""
    acknowledged_after: timedelta | None = None
    mitigated_after: timedelta | None = Field(default=None, description="For good: what didn't hold is in `lapses`.")
    lapses: list[Lapse] = Field(default=[], description="When it was mitigated, and unhealthy again.")
    healthy: bool | None = Field(default=None, description="As the service said when people closed it; None: unknown.")
    resolved_after: timedelta | None = Field(default=None, description="None in a plan: it resolved nothing.")
    evidence: list[str]


@workflow.defn
class P1Incident(P1Words):
    """Assess, mitigate, verify, inform, collect evidence, and wait for a person to close."""

    SECTION = "2.2"

    def __init__(self) -> None:
        super().__init__()
        self._was_unwell = False
        """Whether anything but an alert has said so, since people were told of it last."""

        self._told_to_close = False
        """Whether the message of a restored service has said that it can be closed."""

    @workflow.run
    async def run(self, request: P1Request) -> P1Result:
        """Follow 2.2 from the alert to the post-mortem.

        Raises:
            InvalidInput: the service is not in the catalogue.

        """
        # A run that goes on as a new incident (see `_end`) does everything anew: its effects are not those of the last.
        self.epoch = (workflow.info().continued_run_id or "")[:8]
        happened = P1Happened(today=workflow.patched("one-incident-a-service"))
        service = await self.begin_incident(request, "P1", "p1-incident")
        so_far = request.continues or await self.p2.incident_so_far(service, request.commander)
        incident = HushedIncident(self, service, "P1", self.title, request.commander, so_far=so_far)
        parts = self.parts = self._ready(request, incident, happened)
        self._was_unwell = bool(parts.mitigations.tried)
        parts.deadlines.set_all()
        if request.alert is not None:
            parts.alerts.began_with(request.alert)
        try:
            if joined := [*request.joined, *self.p2.alerts]:
                self.background(self.alerts(joined))
            outcome = await finally_do(self._respond(request, parts), parts.scaled.let_go)
            return await self._end(request, parts, outcome)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
                await abandon(incident)
            raise

    def _ready(self, request: P1Request, incident: HushedIncident, happened: P1Happened) -> P1Parts:
        """Get everything ready that the phases are made of."""
        tried = self.mitigated_before()
        unwell_since = request.alert.starts_at if request.alert is not None else None
        unasked = request.unasked(incident.service)
        shared = SharedCauses(self, incident, "2.2/5")
        watch = Watch(self, incident.service, happened.something)
        deadlines = P1Deadlines(self, incident)
        scaled = Scaled(self, incident, incident.service, scaling="2.2/C", resuming="2.2/C")
        mitigations = P1Mitigations(self, incident, happened, watch, tried, scaled=scaled, unasked=unasked)
        return P1Parts(
            incident=incident,
            shared=shared,
            happened=happened,
            watch=watch,
            scaled=scaled,
            alerts=P1Alerts(self, incident, happened),
            findings=P1Findings(self, incident, shared, tried, unwell_since),
            mitigations=mitigations,
            deadlines=deadlines,
            health=P1Health(self, incident, happened, watch, deadlines, declined=mitigations.declined),
            closing=P1Closing(self, incident, happened, watch),
        )

    def leases(self) -> list[Lease]:
        """Give the autoscaler's pause, while there is one."""
        return self.parts.scaled.leases if self.parts else []

    # -- the way through 2.2 -----------------------------------------------------------------------------

    async def _respond(self, request: P1Request, parts: P1Parts) -> Literal["closed", "planned"]:
        self.phase("0 min: alert received")
        opened = self.background(self.incident.begin(request.alert))
        # Runs that know of windows know of this too; see `HushedIncident` for why it isn't `patched`.
        if not self.dry_run and self.looks_at_windows:
            self.background(self._look_for_others(parts, opened))
        await parts.mitigations.taken_up()
        first = True
        while True:
            await self._restore(parts)
            await opened
            if parts.happened.closing is not None:
                break
            if first or self._was_unwell or not parts.happened.today:
                await self._stabilise(parts)
                await self._investigate()
            else:
                self.phase("30+ min: root cause investigation")
            first = False
            if self.dry_run:
                return "planned"
            if await parts.closing.awaited(told=self._told_to_close):
                break
        self.phase("Resolution")
        await parts.closing.done()
        return "closed"

    async def _look_for_others(self, parts: P1Parts, opened: "asyncio.Task[None]") -> None:
        """Take in what P2 has been opened beside this; find the incidents of services that share a cause."""
        await opened
        parts.findings.opened = True
        await self.p2.take_in(self.incident)
        await parts.findings.look_for_a_shared_cause()

    # -- 0–15 minutes: assess and mitigate ---------------------------------------------------------------

    async def _restore(self, parts: P1Parts) -> None:
        """Bring health back: assess, choose, act, verify; never the same twice, and not once people have closed.

        While a person has it, and after one has said no to all that is proposed, the run only looks on.
        """
        happened, mitigations = parts.happened, parts.mitigations
        while True:
            began, tried = workflow.now(), len(mitigations.tried)
            self.phase("0–5 min: initial assessment")
            diagnosis = await parts.findings.assess()
            if happened.closing is not None:
                return
            if diagnosis.healthy:
                self.say("step", "The service says it is healthy: nothing to mitigate")
            else:
                self._was_unwell = True
                if diagnosis.down and happened.today:
                    parts.health.take_back()
                self.phase("5–15 min: initial mitigation")
                await mitigations.act_on(diagnosis)
            if self.dry_run or happened.closing is not None:
                return
            if happened.today:
                happened.fired_again = False  # what fires from here on may be news to the verification
            by_people = self.incident.held_by or (mitigations.declined and not diagnosis.healthy)
            if await (parts.health.looked_on() if by_people else parts.health.verified()):
                mitigations.declined.forget()
                return
            # A look at health that lasts for minutes is between two rounds; where it can't be had, they race.
            did_nothing = len(mitigations.tried) == tried and not happened.something()
            raced = workflow.now() - began < _SHORTEST_ROUND and did_nothing
            if raced and workflow.patched("rounds-do-not-race"):
                await parts.watch.pause(self.incident.service.incident.reminder)

    # -- 15–30 minutes: stabilise ------------------------------------------------------------------------

    async def _stabilise(self, parts: P1Parts) -> None:
        """Tell the public and the stakeholders (steps 7 and 8), unless it was a false alarm or a person speaks."""
        self.phase("15–30 min: stabilisation")
        if not self.dry_run:
            self.clocks.met("Stable")
        service, done = self.incident.service, parts.mitigations.done
        false_alarm = parts.happened.today and not self._was_unwell
        self._was_unwell = False
        if false_alarm:
            text = f"{service.name} says it is healthy: nothing was done, and nobody outside was told. Investigating."
        else:
            what = f"{', '.join(done)} done" if done else "nothing was done"
            if not parts.mitigations.tried:
                what = "no mitigation was needed"
            text = f"{service.name} is healthy again ({what}). Investigating."
        if parts.findings.beyond and not done:
            text += f" But its figures say otherwise: {parts.findings.beyond}."
        # One message says both, so that an incident that comes back has no more of them than people read.
        self._told_to_close = workflow.patched("told-to-close-with-restored")
        if self._told_to_close:
            text += f" {self.incident.id} can be closed when the cause is known: `runbooks close`"
        told = [self.incident.tell("restored", f":large_green_circle: {text}")]
        if not false_alarm and not self.incident.held_by:
            told = [
                self.incident.status_page("2.2/7", "Identified", "Issue identified, implementing fix"),
                self.incident.notify_stakeholders(
                    "P1 incident in progress, service restored, investigating root cause"
                ),
                *told,
            ]
        await asyncio.gather(self.incident.reached("stable"), *told)

    # -- 30+ minutes: root cause -------------------------------------------------------------------------

    async def _investigate(self) -> None:
        """Keep logs and metrics, and write into the incident what is known (steps 9 to 11)."""
        self.phase("30+ min: root cause investigation")
        policy = self.incident.service.incident
        await asyncio.gather(
            self.incident.evidence.collect_logs("logs.txt", policy.logs_since),
            self.incident.evidence.export_metrics(policy.metrics_since),
        )
        kept = "\n".join(f"- {item}" for item in self.incident.evidence.kept) or "- none"
        await self.incident.note("runbook", f"{self.timeline.markdown()}\n\nEvidence:\n{kept}")

    # -- the end -----------------------------------------------------------------------------------------

    async def _end(self, request: P1Request, parts: P1Parts, outcome: Literal["closed", "planned"]) -> P1Result:
        self.clocks.stop()
        await self.settle()
        closing, said = parts.closing, parts.happened.closing  # only now: a word may have come meanwhile
        self.finish(f"{outcome}, not healthy" if closing.unwell else outcome)
        if parts.alerts.next:
            # They fired while this incident was being closed: that is a new incident, under the same workflow ID.
            first, *others = parts.alerts.next
            following = request.model_copy(update={"alert": first, "joined": others, "title": None, "continues": None})
            workflow.continue_as_new(following, memo=self.handed_on)
        return P1Result(
            incident_id=self.incident.id,
            service=self.incident.service.name,
            outcome=outcome,
            mitigations=parts.mitigations.done,
            reasons=parts.findings.reasons,
            resolution=said.resolution if said else "",
            root_cause=said.root_cause if said else "",
            acknowledged_after=self.clocks.took("Acknowledged"),
            mitigated_after=self.clocks.took("Mitigated"),
            lapses=self.clocks["Mitigated"].lapses,
            healthy=closing.was_healthy,
            resolved_after=None if self.dry_run else workflow.now() - workflow.info().workflow_start_time,
            # A plan has written nothing and resolved nothing.
            evidence=[] if self.dry_run else [item.uri for item in self.incident.evidence.kept],
        )
