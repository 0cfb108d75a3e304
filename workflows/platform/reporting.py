"""What a run tells of itself: its timeline, its status, and what people search it by."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from audit.text import plain
from workflows.platform import search_attributes
from workflows.platform.approval import Approvals
from workflows.platform.clocks import Clocks
from workflows.platform.lease import Lease
from workflows.platform.questions import in_ui
from workflows.platform.run_status import RunStatus
from workflows.platform.timeline import Kind, Timeline

if TYPE_CHECKING:
    from activities.catalogue.service import Service
    from activities.monitoring.workers import WorkerWord

WRITTEN: frozenset[Kind] = frozenset({"phase", "decision", "deadline", "problem"})
"""What only the procedure's code knows. It is written into the history; steps, notes and signals are there anyway."""


class Reporting:
    """A run that tells how far it is."""

    SECTION: ClassVar[str]
    """Of the runbook's page, for example `2.1`."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.approvals = Approvals()
        self.clocks = Clocks(lambda text, at=None: self.say("deadline", text, at=at))
        self.title = ""
        self.service: Service | None = None
        self.severity = ""
        self.incident_id = ""
        self.outcome = ""
        self.waiting_for = ""
        self.lacks: dict[str, WorkerWord] = {}
        """Role that no worker has → the step of this run that needs it."""
        self.dry_run = False

    def say(
        self,
        kind: Kind,
        text: str,
        *,
        section: str = "",
        who: str = "",
        seconds: float | None = None,
        phase: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Add to the timeline, show it in the UI, and write into the history what that doesn't tell by itself."""
        entry = self.timeline.add(at or workflow.now(), kind, text, section=section, who=who, seconds=seconds)
        if phase is not None:
            entry.phase = phase
        if kind in WRITTEN:
            workflow.upsert_memo({"said": entry.model_dump(mode="json")})
        workflow.set_current_details(self.timeline.details(self._heading()))

    def phase(self, name: str) -> None:
        """Enter a phase of the runbook."""
        if self.timeline.phase != name:
            self.timeline.phase = name
            self.say("phase", name)

    def mark(self, *updates: SearchAttributeUpdate[Any]) -> None:
        """Set search attributes."""
        workflow.upsert_search_attributes(list(updates))

    def finish(self, outcome: str) -> None:
        """Set how the run ended, for people who search."""
        self.outcome = outcome
        self.mark(search_attributes.OUTCOME.value_set(outcome))

    def wait_for(self, what: str) -> None:
        """Show that only a person can bring the run on now; empty when that is over."""
        self.waiting_for = what
        key = search_attributes.WAITING_FOR
        self.mark(key.value_set(what) if what else key.value_unset())
        workflow.set_current_details(self.timeline.details(self._heading()))

    def _heading(self) -> str:
        plan = " — **plan only, nothing is changed**" if self.dry_run else ""
        waiting = f"\n\n**Waiting for: {plain(self.waiting_for)}**" if self.waiting_for else ""
        waiting += "".join(f"\n\n**No worker of role {role}: {plain(str(what))}**" for role, what in self.lacks.items())
        asked = "".join(in_ui(question) for question in self.approvals.open.values())
        return f"{asked}### {plain(self.title)}{plan}{waiting}\n{self.board()}".rstrip()

    def leases(self) -> list[Lease]:
        """Give what the run holds for a time now."""
        return []

    def board(self) -> str:
        """Show what the run holds for people; procedures that hold something override it."""
        return ""

    @workflow.query(name="status", description="The run at a glance: phase, clocks, open questions, timeline.")
    def status(self) -> RunStatus:
        """Answer the `status` query."""
        info = workflow.info()
        return RunStatus(
            section=self.SECTION,
            procedure=info.workflow_type,
            title=self.title,
            phase=self.timeline.phase,
            started_at=info.workflow_start_time,
            now=workflow.now(),
            dry_run=self.dry_run,
            service=self.service.name if self.service else "",
            severity=self.severity,
            incident_id=self.incident_id,
            outcome=self.outcome,
            waiting_for=self.waiting_for,
            lacks=[f"{role}: {what}" for role, what in self.lacks.items()],
            clocks=self.clocks.all,
            questions=list(self.approvals.open.values()),
            decided=self.approvals.decided,
            entries=self.timeline.entries,
            leases=self.leases(),
            board=self.board(),
        )
