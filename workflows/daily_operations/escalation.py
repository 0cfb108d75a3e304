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
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.runbook import Runbook
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

    async def start(self, found: Condition) -> Outcome:
        """Start 2.2, as a run that goes on after this one."""
        if self.run.dry_run:
            self.run.say("decision", "would start P1 incident response (2.2)")
            return "left"
        request = P1Request(
            service=self.service.name, title=f"{self.service.name} is down in the morning: {found.parts[0].why}"[:200],
            requested_by=workflow.info().workflow_id,
        )  # fmt: skip
        try:
            await workflow.start_child_workflow(
                P1Incident.run, request, id=f"p1-incident/{self.service.name}/morning-{self.day.day}",
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                cancellation_type=workflow.ChildWorkflowCancellationType.ABANDON,
            )  # fmt: skip
        except WorkflowAlreadyStartedError:
            self.run.say("decision", "its P1 incident of this morning is open already")
            return "joined"
        self.run.say("decision", "P1 incident response is started", section="2.2")
        return "started"

    async def ask(self, found: Condition) -> Outcome:
        """Let a person decide; nobody in time is no reason to leave a service down."""
        if self.run.dry_run:
            self.run.say("decision", "would ask whether to start P1 incident response (2.2)")
            return "left"
        question = Question(
            id="incident", title=f"{self.service.name} is down, and has no incident that is known: start one?",
            options=_CHOICES, recommended="start", default="start", kind="mitigate",
            evidence=[str(part) for part in found.unwell], timeout=self.policy.decision_timeout,
        )  # fmt: skip
        await self.desk.ask(question)
        answer = await self.run.ask(question, escalate=self.desk.escalate)
        return "left" if answer.choice == "leave" else await self.start(found)
