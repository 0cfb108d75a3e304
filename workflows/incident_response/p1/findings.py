"""What a P1 finds to be broken (runbook 2.2 steps 3 to 5), and what that has to do with other services."""

import math
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from temporalio import workflow

from activities.catalogue.service import Mitigation
from activities.kubernetes.states import Pods
from activities.monitoring.degradation import Limits
from activities.monitoring.figures import Figures
from activities.monitoring.prometheus import PrometheusMetrics, SeriesRequest
from audit.wording import percent
from workflows.incident_response.assessment import Assessment
from workflows.incident_response.degraded import limits
from workflows.incident_response.diagnosis import Diagnosis, Facts, diagnose, known_releases
from workflows.incident_response.surroundings import Surroundings, look
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.shared_causes import SharedCauses, knows_others

if TYPE_CHECKING:
    from workflows.incident_response.situations import Reason

_BEFORE, _STEP = timedelta(minutes=10), timedelta(minutes=1)
"""How long before a release its service's errors are looked at."""


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
        self.beyond = ""
        """Which figures are beyond what the service must keep within (2.1), as they were found last."""
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
        if not diagnosis.clear or self._up_to_the_autoscaler(diagnosis):
            await assessment.rest
            diagnosis = self._diagnose(assessment.facts, around)
        diagnosis = await self._with_errors(assessment.facts, diagnosis)
        self.run.clocks.met("Assessed")
        if knows_others(self.run):
            self._points_to(diagnosis)
            self._pods = assessment.facts.pods or Pods(items=[])
            if self.opened:
                self.run.background(self._shared.look(self._pods))
        return diagnosis

    def _up_to_the_autoscaler(self, diagnosis: Diagnosis) -> bool:
        """Tell whether more pods are the choice, and an autoscaler says how many of them stay."""
        scales = diagnosis.first is not None and diagnosis.first.mitigation == "scale"
        autoscaled = self.service.hpa or self.service.scaled_object
        return bool(scales and autoscaled) and workflow.patched("p1-holds-the-autoscaler")

    async def _with_errors(self, facts: Facts, found: Diagnosis) -> Diagnosis:
        """Judge a service that says it is healthy by its errors too, as long as nothing was done: they tell for longer.

        What was released lately is suspected where they have come with it; a release that found them there isn't.
        """
        values = facts.metrics.values if facts.metrics else {}
        now = Figures(error_rate=values.get("error_rate"), p95_latency=values.get("p95_latency"))
        self.beyond = "; ".join(limits(self.service).beyond(now))
        of_errors = Limits(error_rate=self.service.degradation.error_rate_above, p95_latency=math.inf)
        errors = "; ".join(of_errors.beyond(now))
        new = not self._tried and self.run.clocks["Mitigated"].met_at is None
        suspected = found.healthy and new and errors and not self._diagnose(facts, errors=errors).healthy
        if suspected and workflow.patched("errors-since-a-release"):
            came = await self._came_with_it(facts, errors, of_errors)
            if came:
                around = await self._look_around(self._diagnose(facts, errors=came))
                return self._diagnose(facts, around, errors=came)
        return found

    async def _came_with_it(self, facts: Facts, errors: str, of_errors: Limits) -> str:
        """Say that the errors came with the release in force; empty where they were there before, or nobody knows."""
        releases = known_releases(facts, self.service.incident, self.service.container)
        released_at = releases.released_at if releases else None
        query = self.service.metrics.error_rate
        if released_at is None or query is None:
            return ""
        asked = SeriesRequest(query=query, start=released_at - _BEFORE, end=released_at, step=_STEP)
        told = await self.run.attempt(
            "2.2/5", "Error rate before the release", PrometheusMetrics.series, asked, policies.READ
        )
        before = max((point.value for point in told.points), default=None) if told else None
        if before is None or of_errors.beyond(Figures(error_rate=before)):
            return ""
        return f"{errors}, and {percent(before)} at most before it"

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

    def _diagnose(self, facts: Facts, around: Surroundings | None = None, errors: str = "") -> Diagnosis:
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
            errors=errors,
        )
        most = facts.autoscaling.keeps_at_most if facts.autoscaling else None
        if most and most < self.service.incident.scale_to and not workflow.patched("p1-holds-the-autoscaler"):
            judge = partial(judge, within_the_hpa=False)
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
