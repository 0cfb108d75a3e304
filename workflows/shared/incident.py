"""The incident around a procedure: its record, pages, channel and status page.

Nothing here stops the work: a backend that is down is tried for as long as its policy says, the timeline says so, and
the run goes on with what it can.
"""

import asyncio
from datetime import datetime

from temporalio import workflow

from activities.catalogue.service import Service
from activities.common.severity import Severity
from activities.messages.paging.paging import AcknowledgePage, Paging, ResolvePage
from activities.messages.status_page.status_page import IncidentState, StatusPages, UpdateStatusPage
from activities.records.activities import Records
from activities.records.alerts import AcknowledgeAlert, Alert, ResolveAlert
from activities.records.incidents import (
    CLOSED_UNWELL,
    CloseIncident,
    CreateIncident,
    MarkIncident,
    NoteIncident,
    RaiseIncident,
    RelapseIncident,
)
from activities.records.on_call import OnCallRequest
from workflows.platform import policies, search_attributes
from workflows.platform.runbook import NOBODY_TOLD, Runbook
from workflows.shared.continued import IncidentSoFar
from workflows.shared.desk import Desk
from workflows.shared.incident_evidence import IncidentEvidence

# Written for customers.
RESOLVED = "The incident has been resolved."
_BACK = "The problem has come back. We are investigating."
NO_MORE_UPDATES = "We have stopped updating this entry. Our team continues to work on the service."


class Incident(Desk):
    """One incident, as far as a run looks after it."""

    evidence: IncidentEvidence

    def __init__(
        self,
        run: Runbook,
        service: Service,
        severity: Severity,
        title: str,
        commander: str | None,
        *,
        so_far: IncidentSoFar | None = None,
        acknowledging: str = "2.2/1",
    ) -> None:
        """Open one, or go on with another run's; `acknowledging` is the runbook's step that acknowledges an alert."""
        super().__init__(run, service, severity, title, "INC")
        self.commander = commander or ""
        self._acknowledging = acknowledging
        self._so_far = so_far
        if so_far is not None:
            self.id, self.opened_at, self.thread, self.levels = (
                so_far.incident_id,
                so_far.opened_at,
                so_far.thread,
                so_far.levels,
            )
            self.commander = self.commander or so_far.commander
        self.evidence = IncidentEvidence(run, service, self.id, so_far.evidence if so_far is not None else ())
        self.published = False
        """Whether the public has heard of it."""

        run.incident_id = self.id
        run.mark(search_attributes.INCIDENT.value_set(self.id))

    # -- opening (2.2, 0 minutes) ------------------------------------------------------------------------

    async def begin(self, alert: Alert | None) -> None:
        """Acknowledge the alert, create the incident, page the on-call, open the channel's thread."""
        run = self.run
        create = run.background(self._create() if self._so_far is None else self._go_on(self._so_far))
        page = run.background(self.page("paged for a new incident"))
        thread = run.background(self._open_thread(alert))
        if alert is not None:
            await self.acknowledge(alert)
        elif await create is not None:
            run.clocks.met("Acknowledged")
        await asyncio.gather(create, page, thread)
        if run.clocks["Acknowledged"].met_at is not None:
            await self.reached("acknowledged")

    async def acknowledge(self, alert: Alert) -> None:
        """Acknowledge one firing for this incident."""
        run = self.run
        done = await run.keep(
            self._acknowledging,
            f"Acknowledge {alert.name}",
            Records.acknowledge_alert,
            AcknowledgeAlert(
                alert=alert,
                incident_id=self.id,
                service=self.service.name,
                severity=self.severity,
                effect=run.effect("acknowledge"),
            ),
        )
        if done is not None:
            run.clocks.met("Acknowledged")

    async def _create(self) -> object:
        run = self.run
        if not self.commander:
            duty = await run.attempt(
                "2.2/2",
                "Look up who is on call",
                Records.on_call,
                OnCallRequest(rotation=self.service.on_call, at=workflow.now()),
                policies.READ,
            )
            self.commander = duty.name if duty else self.service.on_call
        return await run.keep(
            "2.2/2",
            f"Create {self.severity} incident {self.id}",
            Records.create_incident,
            CreateIncident(
                incident_id=self.id,
                severity=self.severity,
                title=self.title,
                service=self.service.name,
                commander=self.commander,
                opened_at=self.opened_at,
                effect=run.effect("create-incident"),
            ),
        )

    async def _go_on(self, so_far: IncidentSoFar) -> object:
        """Go on with an incident that another run has opened: it is more severe now."""
        raised = RaiseIncident(incident_id=self.id, severity=self.severity, effect=self.run.effect("raise-incident"))
        self.run.say("decision", f"Goes on with {self.id}, opened {so_far.opened_at:%H:%M:%S %Z}: {so_far.why}")
        title = f"Raise {self.id} to {self.severity}"
        return await self.run.keep("2.2/2", title, Records.raise_incident, raised)

    def so_far(self, why: str) -> IncidentSoFar:
        """Hand the incident on to another run."""
        return IncidentSoFar(
            incident_id=self.id,
            opened_at=self.opened_at,
            commander=self.commander,
            thread=self.thread,
            levels=self.levels,
            evidence=self.evidence.kept,
            why=why,
        )

    async def takes_in(self, so_far: IncidentSoFar) -> None:
        """Close what was handed over too late to go on under its number; what was kept of it is this one's."""
        run = self.run
        run.say("decision", f"{so_far.incident_id} was handed over late: it is closed, and part of {self.id}")
        self.evidence.kept += so_far.evidence
        close = CloseIncident(
            incident_id=so_far.incident_id,
            at=workflow.now(),
            closed_by=run.actor,
            resolution=f"Taken in by {self.id}",
            root_cause=f"See {self.id}",
            effect=run.effect("close-taken-in"),
        )
        pages = ResolvePage(
            incident_id=so_far.incident_id, levels=max(so_far.levels, 1), effect=run.effect("resolve-page-taken-in")
        )
        await asyncio.gather(
            run.keep("2.2/2", f"Close {so_far.incident_id}", Records.close_incident, close),
            run.keep("2.2/2", f"Resolve the pages of {so_far.incident_id}", Paging.resolve, pages),
        )

    # -- telling -----------------------------------------------------------------------------------------

    async def _open_thread(self, alert: Alert | None) -> None:
        text = f":fire: *{self.severity}* {self.title} — {self.id} on {self.service.name}"
        if alert is not None and alert.summary != self.title:
            # Quoted: what its lines say isn't said by us.
            text += "".join(f"\n> {line}" for line in alert.summary.splitlines())
        if self._so_far is not None:
            await self.tell("raised", f":fire: *{self.severity}* {self.id}: {self._so_far.why}")
        else:
            await self.open(text)

    async def notify_stakeholders(self, text: str) -> None:
        """Tell everybody who must know (step 8)."""
        await asyncio.gather(
            *(
                self.post(
                    f"to-{channel.removeprefix('#')}",
                    "Notify stakeholders",
                    f"*{self.severity}* {self.title} ({self.id}): {text}",
                    channel=channel,
                )
                for channel in self.service.stakeholders
            )
        )

    async def status_page(self, section: str, status: IncidentState, message: str) -> None:
        """Publish on the status page (steps 7 and 13), in words written for customers.

        An alert's text, a title and a resolution are written for ourselves: they name hosts and colleagues.
        """
        self.published = True
        product = self.service.product
        await self.run.keep(
            section,
            f"Status page: {status}",
            StatusPages.update,
            UpdateStatusPage(
                component=self.service.status_component,
                incident_id=self.id,
                title=f"{product}: service disruption",
                status=status,
                message=message,
                effect=self.run.effect(f"status-page-{status.lower()}"),
            ),
        )

    # -- recording ---------------------------------------------------------------------------------------

    async def reached(self, milestone: str) -> None:
        """Record a milestone; the first time counts."""
        await self.run.keep(
            "2.2",
            f"Record: {milestone}",
            Records.mark_incident,
            MarkIncident.model_validate(
                {
                    "incident_id": self.id,
                    "milestone": milestone,
                    "at": workflow.now(),
                    "effect": self.run.effect(f"mark-{milestone}"),
                }
            ),
        )

    async def note(self, author: str, text: str) -> None:
        """Add a note to the incident (step 11)."""
        await self.run.keep(
            "2.2/11",
            "Note on the incident",
            Records.note_incident,
            NoteIncident(
                incident_id=self.id, at=workflow.now(), author=author, text=text, effect=self.run.effect("note")
            ),
        )

    async def taken_over(self, by: str, text: str) -> None:
        """Record who has it, and stop the pages from reminding others."""
        await asyncio.gather(
            self.run.keep(
                "2.2",
                f"Acknowledge the pages for {by}",
                Paging.acknowledge,
                AcknowledgePage(
                    incident_id=self.id, by=by, levels=max(self.levels, 1), effect=self.run.effect("acknowledge-page")
                ),
            ),
            self.note(by, text),
            self.tell("taken-over", f":raising_hand: {by}: {text}"),
        )

    async def relapsed(self, mitigated_at: datetime, lost_at: datetime) -> None:
        """Tell everybody who heard that it was over, that it isn't; both times are recorded."""
        times = f"mitigated at {mitigated_at:%H:%M:%S}, unhealthy again at {lost_at:%H:%M:%S} UTC"
        told = []
        if self.published and not self.held_by:
            told.append(self.notify_stakeholders("the service is down again"))
            told.append(self.status_page("2.2/7", "Investigating", _BACK))
        await asyncio.gather(
            self.run.keep(
                "2.2",
                "Record the relapse",
                Records.relapse_incident,
                RelapseIncident(
                    incident_id=self.id, mitigated_at=mitigated_at, lost_at=lost_at, effect=self.run.effect("relapse")
                ),
            ),
            self.note("runbook", f"Relapse: {times}"),
            self.escalate(f"down again: {times}"),
            *told,
        )

    async def alert_resolved(self, alert: Alert) -> None:
        """Record that a firing has ended."""
        await self.run.keep(
            "2.2",
            f"Record: {alert.name} resolved",
            Records.resolve_alert,
            ResolveAlert(
                source=alert.source,
                fingerprint=alert.fingerprint,
                starts_at=alert.starts_at,
                resolved_at=alert.ends_at or workflow.now(),
                effect=self.run.effect("resolve-alert"),
            ),
        )

    # -- closing (2.2, resolution) -----------------------------------------------------------------------

    async def close(
        self, closed_by: str, resolution: str, root_cause: str, *, unwell: str = "", publish: bool = True
    ) -> None:
        """Close the record, withdraw the pages, tell everybody (steps 12 and 13), the public unless not to `publish`.

        With `unwell`, what the service says of itself, the record says so and the public isn't told that all is well.
        """
        run = self.run
        if unwell:
            resolution = f"{resolution} ({CLOSED_UNWELL}: {unwell})"
        by = "" if closed_by == NOBODY_TOLD else f" by {closed_by}"
        public = [] if unwell or not publish else [self.status_page("2.2/13", "Resolved", RESOLVED)]
        await asyncio.gather(
            run.keep(
                "2.2/12",
                "Close the incident",
                Records.close_incident,
                CloseIncident(
                    incident_id=self.id,
                    at=workflow.now(),
                    closed_by=closed_by,
                    resolution=resolution,
                    root_cause=root_cause,
                    effect=run.effect("close-incident"),
                ),
            ),
            self._resolve_pages(),
            *public,
            self.tell("closed", f":white_check_mark: {self.id} closed{by}: {resolution}"),
        )

    async def _resolve_pages(self) -> None:
        await self.run.keep(
            "2.2/12",
            "Resolve the page",
            Paging.resolve,
            ResolvePage(incident_id=self.id, levels=max(self.levels, 1), effect=self.run.effect("resolve-page")),
        )

    async def abandon(self) -> None:
        """Say everywhere that the run was cancelled and the incident is in human hands.

        Nobody looks after its pages and the public's entry any more, so they are closed.
        """
        closing = []
        if workflow.patched("cancelled-closes-all"):
            closing.append(self._resolve_pages())
            if self.published:
                closing.append(self.status_page("2.2/13", "Resolved", NO_MORE_UPDATES))
        await asyncio.gather(
            *closing,
            self.reached("cancelled"),
            self.note("runbook", "The run was cancelled. The incident is in human hands."),
            self.tell("cancelled", f":warning: The run for {self.id} was cancelled; the incident is in human hands."),
        )
