"""A service that is down in the morning: its incident is joined or started, or people are asked (runbook 1.1, 2.2)."""

from typing import Literal

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError

from activities.catalogue.daily import DailyPolicy
from activities.catalogue.service import Service
from activities.monitoring.runs import ServiceRuns
from activities.records.activities import Records
from activities.records.incidents import OpenIncidents, OpenIncidentsRequest
from workflows.daily_operations.condition import Condition
from workflows.daily_operations.local_day import LocalDay
from workflows.incident_response.p1_incident import P1Incident, P1Request
from workflows.incident_response.raised import start_p1
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook
from workflows.shared.continued import JOINED, Joined, p1_run_id, reach
from workflows.shared.desk import Desk

Outcome = Literal["joined", "started", "left"]
_CHOICES = {"start": "start P1 incident response (2.2), which pages", "leave": "leave it to people"}


class Escalation:
    """What becomes of a service that is down."""

    def __init__(self, run: Runbook, service: Service, policy: DailyPolicy, day: LocalDay, desk: Desk) -> None:
        self.run, self.service, self.policy, self.day, self.desk = run, service, policy, day, desk

    async def open_incidents(self) -> OpenIncidents | None:
        """Read the incidents that are not over; None where that is not known."""
        asked = OpenIncidentsRequest(service=self.service.name, severities=["P1", "P2", "P3", "P4"])
        return await self.run.attempt("1.1", "Open incidents", Records.open_incidents, asked, policies.READ)

    def at_work(self, incidents: OpenIncidents | None, runs: ServiceRuns | None) -> str:
        """Name the P1 that is being worked on; empty where there is none."""
        open_runs = [one.workflow_id for one in (runs.items if runs else []) if one.procedure == "P1Incident"]
        known = [one.incident_id for one in (incidents.items if incidents else []) if one.severity == "P1"]
        return next(iter([*open_runs, *known]), "")

    async def tell_who_has_it(self, found: Condition, incidents: OpenIncidents | None, runs: ServiceRuns | None) -> str:
        """Tell the service's open P1 or P2, which takes it from there; gives which one, empty where none lives.

        A P2 is raised by it: the service is down. Whoever is only listed and doesn't answer has nothing at work.
        """
        for workflow_id, named in self._open(incidents, runs).items():
            if self.run.dry_run:
                self.run.say("decision", f"would join {named}")
                return named
            if await reach(workflow_id, JOINED, self._joined(found)):
                return named
            self.run.say("problem", f"{named} is listed as open, but its run {workflow_id} has ended")
        return ""

    def _joined(self, found: Condition) -> Joined:
        what = f"{self.service.name} is down in the morning: {found.parts[0].why}"
        return Joined(what=what, who=workflow.info().workflow_id, severity="P1")

    def _open(self, incidents: OpenIncidents | None, runs: ServiceRuns | None) -> dict[str, str]:
        """Give the runs that look after an incident of the service, the worst first, by the records and by Temporal."""
        known = [one for one in (incidents.items if incidents else []) if one.severity in {"P1", "P2"}]
        known.sort(key=lambda one: (one.severity, one.opened_at))
        listed = sorted(
            (one.procedure, one.workflow_id)
            for one in (runs.items if runs else [])
            if one.procedure in {"P1Incident", "P2Incident"}
        )
        # By either one: a run without records has an incident all the same.
        found = {one.workflow_id: f"{one.severity} {one.incident_id}" for one in known if one.workflow_id}
        return found | {run: run for _, run in listed if run not in found}

    async def start(self, found: Condition) -> Outcome:
        """Start 2.2, as a run that goes on after this one; where the service has one by now, it is told."""
        if self.run.dry_run:
            self.run.say("decision", "would start P1 incident response (2.2)")
            return "left"
        request = P1Request(
            service=self.service.name,
            title=f"{self.service.name} is down in the morning: {found.parts[0].why}"[:200],
            requested_by=workflow.info().workflow_id,
        )
        if not await self._started(request):
            self.run.say("decision", "its P1 incident is open already")
            if workflow.patched("joined-by-word"):
                await reach(p1_run_id(self.service.name), JOINED, self._joined(found))
            return "joined"
        self.run.say("decision", "P1 incident response is started", section="2.2")
        return "started"

    async def _started(self, request: P1Request) -> bool:
        if workflow.patched("joined-by-word"):
            return await start_p1(self.run, "2.2", request, self.service.name)
        # A run from before starts one beside the service's own.
        try:
            await workflow.start_child_workflow(
                P1Incident.run,
                request,
                id=f"p1-incident/{self.service.name}/morning-{self.day.day}",
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
                memo=self.run.began,
            )
        except WorkflowAlreadyStartedError:
            return False
        return True

    async def ask(self, found: Condition) -> Outcome:
        """Let a person decide; nobody in time is no reason to leave a service down."""
        if self.run.dry_run:
            self.run.say("decision", "would ask whether to start P1 incident response (2.2)")
            return "left"
        question = Question(
            id="incident",
            title=f"{self.service.name} is down, and has no incident that is known: start one?",
            options=_CHOICES,
            recommended="start",
            default="start",
            kind="mitigate",
            evidence=[str(part) for part in found.unwell],
            timeout=self.policy.decision_timeout,
        )
        await self.desk.ask(question)
        answer = await self.run.ask(question, escalate=self.desk.escalate)
        return "left" if answer.choice == "leave" else await self.start(found)
