"""What a P2 finds to be degraded (runbook 2.3 steps 1 to 4), and the evidence that it keeps of it."""

import asyncio
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from temporalio import workflow

from activities.evidence.error_patterns import ErrorLogs, ErrorPatternsRequest
from activities.evidence.evidence import ChartFigures, Evidence
from activities.monitoring.figures import Figures
from workflows.incident_response.assessment import Assessment
from workflows.incident_response.degraded import Degradation, DegradedFacts, degraded
from workflows.incident_response.surroundings import look
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident

if TYPE_CHECKING:
    from workflows.incident_response.degraded import Reason


class P2Findings:
    """What one P2 has found, round after round."""

    def __init__(self, run: Runbook, incident: HushedIncident, unwell_since: datetime | None) -> None:
        """Find for a run; the trouble began when its alert did, if one did."""
        self.run = run
        self.incident = incident
        self.service = incident.service
        self.reasons: list[Reason] = []
        """What the facts pointed to, in order."""
        self.before: Figures | None = None
        self.after = Figures()
        self.rounds = 0
        self._unwell_since = unwell_since

    @property
    def causes(self) -> str:
        """What it was, for the record."""
        return ", ".join(dict.fromkeys(reason.replace("_", " ") for reason in self.reasons)) or "not known"

    async def assess(self) -> DegradedFacts:
        """Read what is degraded, what the logs complain of, and what others have to do with it (steps 1 to 4)."""
        service, since = self.service, self.service.degradation.look_back
        assessment = Assessment(self.run, service)
        patterns = ErrorPatternsRequest(namespace=service.namespace, selector=service.selector, since=since)
        found, around, _ = await asyncio.gather(
            self.run.attempt("2.3/2", "Error patterns", ErrorLogs.error_patterns, patterns, policies.COLLECT),
            look(self.run, service),
            asyncio.gather(assessment.first, assessment.rest),
        )
        self.rounds += 1
        if self.rounds == 1:
            self.run.background(self._keep_evidence())
        facts = DegradedFacts(**dict(assessment.facts), patterns=found, surroundings=around)
        self.before = self.before or facts.figures
        self.after = facts.figures
        self.run.clocks.met("Assessed")
        return facts

    def judge(self, facts: DegradedFacts, tried: set[str]) -> Degradation:
        """Say what is the matter, and which fixes there are."""
        since = self._unwell_since or self.incident.opened_at
        judge = partial(degraded, facts, self.service, tried, workflow.now())
        if facts.autoscaling and facts.autoscaling.keeps_at_most and not workflow.patched("within-the-hpa"):
            judge = partial(judge, within_the_hpa=False)
        found = judge(since=since)
        if found.in_doubt and not workflow.patched("proven-releases"):
            found = judge(proven=False)
        return found

    async def _keep_evidence(self) -> None:
        """Keep logs and figures of the last half hour, with a picture (steps 2 and 3)."""
        service, policy, now = self.service, self.service.degradation, workflow.now()
        chart = ChartFigures(
            incident_id=self.incident.id,
            name="figures.svg",
            error_rate=service.metrics.error_rate,
            p95_latency=service.metrics.p95_latency,
            error_rate_limit=policy.error_rate_above,
            p95_latency_limit=policy.latency_above.total_seconds(),
            start=now - policy.look_back,
            end=now,
            effect=self.run.effect("figures"),
        )
        drawn, _, _ = await asyncio.gather(
            self.run.attempt("2.3/3", "Draw the figures", Evidence.chart_figures, chart, policies.COLLECT),
            self.incident.evidence.collect_logs("logs.txt", policy.look_back),
            self.incident.evidence.export_metrics(policy.look_back),
        )
        self.incident.evidence.add(drawn)
