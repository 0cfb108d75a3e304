"""From facts to a mitigation: the choice of runbook 2.2 between options A, B and C, as a pure function."""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import IncidentPolicy, Mitigation
from activities.kubernetes.states import DeploymentState, Events, Pod, Pods
from activities.monitoring.health import Health
from activities.monitoring.prometheus import Metrics
from activities.records.deployments import Deployments
from audit.text import counted
from workflows.shared.releases import image_tag, last_good


class Facts(BaseModel):
    """What the assessment found; None is what could not be read (in time)."""

    pods: Pods | None = None
    events: Events | None = None
    deployment: DeploymentState | None = None
    autoscaling: Autoscaling | None = None
    health: Health | None = None
    metrics: Metrics | None = None
    deployments: Deployments | None = None


class Proposal(BaseModel):
    """One mitigation, pinned to absolute values, and what speaks for it."""

    mitigation: Mitigation
    does: str
    because: list[str]
    from_revision: int | None = None
    to_revision: int | None = None
    replicas: int | None = None


class Diagnosis(BaseModel):
    """The proposals, best first, and whether the facts ask for the first one clearly."""

    healthy: bool
    clear: bool
    proposals: list[Proposal]
    evidence: list[str] = Field(description="For the person who is asked.")
    left_to: str = Field(default="", description="The run that keeps the service stopped for now, and until when.")

    @property
    def first(self) -> Proposal | None:
        """The recommended one."""
        return self.proposals[0] if self.proposals else None

    def find(self, choice: str) -> Proposal | None:
        """Find a proposal by its mitigation."""
        return next((p for p in self.proposals if p.mitigation == choice), None)


def diagnose(facts: Facts, policy: IncidentPolicy, tried: set[str], now: datetime) -> Diagnosis:
    """Choose between rollback, restart and scaling.

    A is clear when pods fail, the service is not healthy, and the current revision is younger than
    `recent_rollout`; B when pods crash without a recent rollout; C when all pods are well but saturated. Whatever was
    tried is not proposed again. What speaks for none is offered, so that a person can still choose it, but isn't clear.
    Where a run keeps the service stopped (a restore does, 7.3), that run brings it back: there is nothing to propose.
    """
    if facts.deployment is not None and facts.deployment.stopped:
        left_to = facts.deployment.stopped
        return Diagnosis(healthy=False, clear=True, proposals=[], evidence=_evidence(facts, None), left_to=left_to)
    likely: list[Proposal] = []
    possible: list[Proposal] = []
    failing = [pod for pod in facts.pods.items if pod.failing and not pod.terminating] if facts.pods else []
    down = facts.health is not None and not facts.health.healthy
    recent = _recent_rollout(facts.deployment, policy.recent_rollout, now)

    if rollback := _rollback(facts):
        if recent and failing and down:
            rollback.because = [recent, _failing(failing), f"health: {facts.health}"]
            likely.append(rollback)
        else:
            possible.append(rollback)
    if facts.deployment is not None:
        restart = Proposal(mitigation="restart", does=f"restart all pods of {facts.deployment.name}", because=[])
        if failing and down and not recent:
            restart.because = [_failing(failing), "no recent rollout"]
            likely.append(restart)
        else:
            possible.append(restart)
        if facts.deployment.replicas < policy.scale_to:
            scale = Proposal(
                mitigation="scale",
                does=(
                    f"scale {facts.deployment.name} from {facts.deployment.replicas} to "
                    f"{counted(policy.scale_to, 'replica')}"
                ),
                because=_saturation(facts, policy),
                replicas=policy.scale_to,
            )
            (likely if scale.because and not failing else possible).append(scale)

    proposals = [p for p in likely + possible if p.mitigation not in tried]
    clear = bool(proposals) and len([p for p in likely if p.mitigation not in tried]) == 1
    return Diagnosis(
        healthy=facts.health is not None and facts.health.healthy and not failing,
        clear=clear,
        proposals=proposals,
        evidence=_evidence(facts, recent),
    )


def _rollback(facts: Facts) -> Proposal | None:
    if facts.deployment is None or facts.deployment.paused:
        return None
    target = last_good(facts.deployment, facts.deployments)
    if target is None:
        return None
    current = image_tag(facts.deployment.current)
    does = f"roll {facts.deployment.name} back from {current} to {image_tag(target)} (revision {target.number})"
    return Proposal(
        mitigation="rollback",
        does=does,
        because=[],
        from_revision=facts.deployment.current_revision,
        to_revision=target.number,
    )


def _recent_rollout(state: DeploymentState | None, window: timedelta, now: datetime) -> str | None:
    if state is None or state.current is None or len(state.revisions) <= 1:
        return None
    age = now - state.rolled_out_at
    if age > window:
        return None
    return f"{image_tag(state.current)} was rolled out {age.total_seconds():.0f} s ago"


def _failing(failing: list[Pod]) -> str:
    reasons = ", ".join(sorted({pod.reason for pod in failing}))
    return f"{counted(len(failing), 'pod')} failing: {reasons}"


def _saturation(facts: Facts, policy: IncidentPolicy) -> list[str]:
    signs = []
    if facts.autoscaling and facts.autoscaling.at_maximum:
        signs.append(f"the HPA is at its maximum of {facts.autoscaling.hpa_max}")
    pending = [p for p in facts.pods.items if p.phase == "Pending" and not p.failing] if facts.pods else []
    if pending:
        signs.append(f"{counted(len(pending), 'pod')} pending")
    saturation = facts.metrics.values.get("saturation") if facts.metrics else None
    if saturation is not None and saturation > policy.saturated_above:
        signs.append(f"saturation {saturation:.0%} is above {policy.saturated_above:.0%}")
    return signs


def _evidence(facts: Facts, recent: str | None) -> list[str]:
    lines = [f"{name}: {value if value is not None else 'could not be read'}" for name, value in facts]
    return [*lines, recent] if recent else lines
