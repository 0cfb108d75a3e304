"""From the facts of a degraded service to a fix: the common fixes of runbook 2.3 step 4, as a pure function."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from activities.catalogue.service import Service
from activities.common.errors import Refused
from activities.evidence.error_patterns import ErrorPatterns
from activities.monitoring.degradation import Limits
from audit.text import counted
from workflows.incident_response.diagnosis import (
    Facts,
    Proposal,
    known_releases,
    recent_rollout,
    rollback_proposal,
    saturation,
)
from workflows.incident_response.surroundings import Surroundings
from workflows.scaling.target import pinned
from workflows.shared.releases import Releases

Reason = Literal[
    "well",
    "stopped",
    "dependency",
    "database",
    "connections",
    "bad_release",
    "recent_release",
    "saturated",
    "latency",
    "unknown",
]
"""What the facts point to: `well`, nothing is beyond its limit by now; `unknown`, nothing is to be seen."""


class DegradedFacts(Facts):
    """What the assessment of 2.3 found; None is what could not be read (in time)."""

    patterns: ErrorPatterns | None = None
    surroundings: Surroundings | None = None


class Degradation(BaseModel):
    """What is the matter, why that is thought, and what can be done, best first."""

    reason: Reason
    because: list[str]
    clear: bool = Field(description="Whether the first proposal may be done without asking.")
    proposals: list[Proposal]
    evidence: list[str] = Field(description="For the person who is asked.")
    in_doubt: list[str] = Field(default_factory=list, description="Releases that a rollback passes over, and why.")

    @property
    def first(self) -> Proposal | None:
        """The recommended one; None where people are to decide."""
        return self.proposals[0] if self.proposals and self.proposals[0].because else None

    def find(self, choice: str) -> Proposal | None:
        """Find a proposal by its mitigation."""
        return next((p for p in self.proposals if p.mitigation == choice), None)


def limits(service: Service) -> Limits:
    """Give what the service must keep within (runbook 2.1)."""
    policy = service.degradation
    return Limits(error_rate=policy.error_rate_above, p95_latency=policy.latency_above.total_seconds())


def degraded(
    facts: DegradedFacts,
    service: Service,
    tried: set[str],
    now: datetime,
    *,
    since: datetime | None = None,
    proven: bool = True,
) -> Degradation:
    """Say what is the matter, the plainest cause first.

    What others don't give, no pod of ours can make up for: while a dependency or the database is the matter, nothing is
    done by itself, since more pods ask for more connections. A young release whose pods fail is rolled back; one that
    is merely young is suspected, and a person decides. Saturation and high latency are met with more pods.
    What has been tried is not proposed again. A service that a run keeps stopped is left to it, and so is one that it
    has just brought back, unless pods fail: the figures still tell of the stop, and may have been read before it ended.
    `since` and `proven` are as in `diagnose`.
    """
    reason, because = next(_reasons(facts, service, now))
    releases = known_releases(facts, service.incident, service.container, since=since, proven=proven)
    if stopped := _stopped(facts, releases, service, now, well=reason == "well"):
        return Degradation(
            reason="stopped", because=[stopped], clear=False, proposals=[], evidence=_evidence(facts, [])
        )
    rollback = rollback_proposal(releases)
    doubts = releases.in_doubt if releases else []
    scale, no_room = _scale(facts, service)
    proposals = [
        proposal for proposal in (rollback, scale) if proposal is not None and proposal.mitigation not in tried
    ]
    fits = {"bad_release": "rollback", "recent_release": "rollback", "saturated": "scale", "latency": "scale"}
    for proposal in proposals:
        if proposal.mitigation == fits.get(reason):
            proposal.because = because
    proposals.sort(key=lambda proposal: not proposal.because)
    clear = reason in {"bad_release", "saturated", "latency"} and bool(proposals and proposals[0].because)
    return Degradation(
        reason=reason,
        because=because,
        clear=clear and not (doubts and proposals[0].mitigation == "rollback"),
        proposals=proposals,
        evidence=_evidence(facts, no_room),
        in_doubt=doubts,
    )


def _stopped(facts: DegradedFacts, releases: Releases | None, service: Service, now: datetime, *, well: bool) -> str:
    """Say which run has stopped the service, where it is left to that."""
    if facts.deployment is None:
        return ""
    if facts.deployment.stopped:
        return f"the service is kept stopped by {facts.deployment.stopped}"
    failing = releases.failing(facts.pods) if releases else []
    back = facts.deployment.brought_back(now, service.scaling.ready_within)
    return f"the service is left to {back}" if back and not well and not failing else ""


def _reasons(facts: DegradedFacts, service: Service, now: datetime) -> Iterator[tuple[Reason, list[str]]]:
    """Give what the facts point to, the plainest first."""
    policy, around, figures = service.degradation, facts.surroundings, facts.figures
    beyond = limits(service).beyond(figures)
    unwell = [f"health: {facts.health}"] if facts.health is not None and not facts.health.healthy else []
    unread = [
        f"{name} could not be read"
        for name, value in (("the error rate", figures.error_rate), ("health", facts.health))
        if value is None
    ]
    if not (beyond or unwell or unread):
        yield "well", ["every figure is within its limit by now"]
    if around is not None and around.dependencies:
        yield "dependency", [f"{name}: {trouble}" for name, trouble in around.dependencies.items()]
    if around is not None and around.database:
        yield "database", [f"database: {around.database}"]
    if around is not None and around.connections is not None and around.connections >= policy.connections_above:
        yield "connections", [f"{around.connections:.0%} of the database's connections are in use"]
    releases = Releases(facts.deployment, facts.deployments, container=service.container) if facts.deployment else None
    if recent := recent_rollout(releases, service.incident.recent_rollout, now):
        if failing := releases.failing(facts.pods) if releases else []:
            yield "bad_release", [recent, f"{counted(len(failing), 'pod')} of it failing", *beyond, *unwell]
        yield "recent_release", [recent, *beyond, *unwell]
    if signs := saturation(facts, service.incident):
        yield "saturated", [*signs, *beyond]
    if figures.p95_latency is not None and figures.p95_latency > policy.latency_above.total_seconds():
        yield "latency", beyond
    yield "unknown", [*beyond, *unwell, *unread]


def _scale(facts: DegradedFacts, service: Service) -> tuple[Proposal | None, list[str]]:
    state = facts.deployment
    if state is None or state.replicas == 0:
        return None, []
    try:
        target = pinned(service.degradation.scale_by, state.replicas, service.scaling.max_replicas)
    except Refused as refusal:
        return None, [f"no more pods: {refusal}"]
    does = f"scale {state.name} from {state.replicas} to {counted(target, 'replica')}"
    return Proposal(mitigation="scale", does=does, because=[], replicas=target), []


def _evidence(facts: DegradedFacts, no_room: list[str]) -> list[str]:
    lines = [f"{name}: {value if value is not None else 'could not be read'}" for name, value in facts]
    return [*lines, *no_room]
