"""What a P1 finds to be broken (runbook 2.2 steps 3 to 5), and what that has to do with other services."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from temporalio import workflow

from activities.catalogue.service import Mitigation
from activities.kubernetes.states import Pods
from workflows.incident_response.assessment import Assessment
from workflows.incident_response.degraded import limits
from workflows.incident_response.diagnosis import Diagnosis, Facts, diagnose
from workflows.incident_response.surroundings import Surroundings, look
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.shared_causes import SharedCauses, knows_others

if TYPE_CHECKING:
    from workflows.incident_response.situations import Reason


class P1Findings:
    """What one P1 has found, round after round."""

    def __init__(
        self,
        run: Runbook,
        incident: HushedIncident,
        shared: SharedCauses,
        tried: list[Mitigation],
        unwell_since: datetime | None,
    ) -> None:
        """Find for a run, beside what is `tried` meanwhile; the outage began when its first alert did, if one did."""
        self.run = run
        self.incident = incident
        self.service = incident.service
        self.reasons: list[Reason] = []
        """What the facts pointed to, in order."""
        self.opened = False
        """Set as soon as the incident is in the records."""
        self._shared = shared
        self._tried = tried
        self._unwell_since = unwell_since
        self._pods: Pods | None = None

    async def assess(self) -> Diagnosis:
        """Read what is broken and what changed (steps 3 to 5); decide as soon as it is clear."""
        assessment = Assessment(self.run, self.service)
        await assessment.first
        diagnosis = self._diagnose(assessment.facts)
        around = await self._look_around(diagnosis)
        if around is not None:
            diagnosis = self._diagnose(assessment.facts, around)
        if not diagnosis.clear:
            await assessment.rest
            diagnosis = self._diagnose(assessment.facts, around)
        self.run.clocks.met("Assessed")
        if knows_others(self.run):
            self._points_to(diagnosis)
            self._pods = assessment.facts.pods or Pods(items=[])
            if self.opened:
                self.run.background(self._shared.look(self._pods))
        return diagnosis

    async def look_for_a_shared_cause(self) -> None:
        """Find the incidents of services that share a cause, once it is known what is broken here."""
        if knows_others(self.run):
            await workflow.wait_condition(lambda: self._pods is not None)
            await self._shared.look(self._pods)

    async def _look_around(self, diagnosis: Diagnosis) -> Surroundings | None:
        """Look at what the service needs of others, before anything of ours is held responsible (step 5)."""
        needs = bool(self.service.degradation.dependencies) or self.service.database is not None
        if not knows_others(self.run) or not needs or diagnosis.healthy or diagnosis.left_to:
            return None
        return await look(self.run, self.service, "2.2/5")

    def _diagnose(self, facts: Facts, around: Surroundings | None = None) -> Diagnosis:
        judge = partial(
            diagnose,
            facts,
            self.service.incident,
            set(self._tried),
            workflow.now(),
            container=self.service.container,
            around=around,
            connections_above=self.service.degradation.connections_above,
            as_before=not knows_others(self.run),
            starting=self.service.scaling.ready_within,
            limits=limits(self.service),
        )
        found = judge(since=self._unwell_since or self.incident.opened_at)
        if found.in_doubt and not workflow.patched("proven-releases"):
            return judge(proven=False)
        return found

    def _points_to(self, found: Diagnosis) -> None:
        """Say what it points to, by its name, where that is another thing than before; and what mends it."""
        if found.healthy or found.left_to or found.reason in self.reasons[-1:]:
            return
        self.reasons.append(found.reason)
        why = "; ".join(found.because) or "nothing else is to be seen"
        points = f"It points to {found.reason.replace('_', ' ')} ({found.certainty}): {why}"
        self.run.say("decision", points, section="2.2/5")
        if found.mended_by:
            held = "Nothing is restarted or rolled back by itself. " if found.not_ours else ""
            text = f":mag: {self.service.name}: {points}. {held}What mends it: {found.mended_by}"
            self.run.background(self.incident.tell("points-to", text))
