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
from workflows.shared.releases import Releases


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
    from_version: str = ""
    from_release: str = Field(default="", description="Identity of the release that is left; see `Revision.template`.")
    to_revision: int | None = None
    replicas: int | None = None


class Diagnosis(BaseModel):
    """The proposals, best first, and whether the facts ask for the first one clearly."""

    healthy: bool
    down: bool = Field(default=False, description="The service itself says that it isn't healthy, or doesn't answer.")
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


def diagnose(
    facts: Facts, policy: IncidentPolicy, tried: set[str], now: datetime, *, container: str | None = None
) -> Diagnosis:
    """Choose between rollback, restart and scaling.

    A is clear when pods of the release in force fail, the service is not healthy, and that release is younger than
    `recent_rollout`; with all its pods ready it is suspected, and recommended, but a person decides. A restart makes no
    release younger, and one that was gone back to is no new one. B is clear when pods crash that nobody has replaced
    lately; C when all pods are well but saturated. Whatever was tried is not proposed again. What nothing speaks for is
    offered, so that a person can still choose it, but isn't clear.
    Where a run keeps the service stopped (a restore does, 7.3), that run brings it back: there is nothing to propose.
    """
    if facts.deployment is not None and facts.deployment.stopped:
        left_to = facts.deployment.stopped
        return Diagnosis(healthy=False, clear=True, proposals=[], evidence=_evidence(facts, None), left_to=left_to)
    likely: list[Proposal] = []
    suspected: list[Proposal] = []
    possible: list[Proposal] = []
    down = facts.health is not None and not facts.health.healthy
    releases = Releases(facts.deployment, facts.deployments, container=container) if facts.deployment else None
    failing = releases.failing(facts.pods) if releases else _all_failing(facts.pods)
    recent = recent_rollout(releases, policy.recent_rollout, now)

    if rollback := rollback_proposal(releases):
        if recent and failing and down:
            rollback.because = [recent, _failing(failing), f"health: {facts.health}"]
            likely.append(rollback)
        elif recent and down:
            rollback.because = [recent, f"health: {facts.health}"]
            suspected.append(rollback)
        else:
            possible.append(rollback)
    if facts.deployment is not None:
        restart = Proposal(mitigation="restart", does=f"restart all pods of {facts.deployment.name}", because=[])
        replaced = facts.deployment.rolled_out_at > now - policy.recent_rollout and len(facts.deployment.revisions) > 1
        if failing and down and not recent and not replaced:
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
                because=saturation(facts, policy),
                replicas=policy.scale_to,
            )
            (likely if scale.because and not failing else possible).append(scale)

    proposals = [p for p in likely + suspected + possible if p.mitigation not in tried]
    clear = bool(proposals) and len([p for p in likely if p.mitigation not in tried]) == 1
    return Diagnosis(
        healthy=facts.health is not None and facts.health.healthy and not failing,
        down=down,
        clear=clear,
        proposals=proposals,
        evidence=_evidence(facts, recent),
    )


def rollback_proposal(releases: Releases | None) -> Proposal | None:
    """Pin the way back to the last good release; None where there is none."""
    if releases is None or releases.state.paused:
        return None
    state, target = releases.state, releases.last_good
    if target is None:
        return None
    return Proposal(
        mitigation="rollback",
        does=(
            f"roll {state.name} back from {releases.current} to {releases.version(target)} (revision {target.number})"
        ),
        because=[],
        from_revision=state.current_revision,
        from_version=releases.current,
        from_release=state.current.template if state.current else "",
        to_revision=target.number,
    )


def recent_rollout(releases: Releases | None, window: timedelta, now: datetime) -> str | None:
    """Say when the release in force came, where that was lately."""
    released_at = releases.released_at if releases else None
    if releases is None or released_at is None or now - released_at > window:
        return None
    return f"{releases.current} was rolled out {(now - released_at).total_seconds():.0f} s ago"


def _all_failing(pods: Pods | None) -> list[Pod]:
    return [pod for pod in pods.items if pod.failing and not pod.terminating] if pods else []


def _failing(failing: list[Pod]) -> str:
    reasons = ", ".join(sorted({pod.reason for pod in failing}))
    return f"{counted(len(failing), 'pod')} failing: {reasons}"


def saturation(facts: Facts, policy: IncidentPolicy) -> list[str]:
    """Name the signs that there are too few pods."""
    signs = []
    if facts.autoscaling and facts.autoscaling.at_maximum:
        signs.append(f"the HPA is at its maximum of {facts.autoscaling.hpa_max}")
    pending = [p for p in facts.pods.items if p.phase == "Pending" and not p.failing] if facts.pods else []
    if pending:
        signs.append(f"{counted(len(pending), 'pod')} pending")
    used = facts.metrics.values.get("saturation") if facts.metrics else None
    if used is not None and used > policy.saturated_above:
        signs.append(f"saturation {used:.0%} is above {policy.saturated_above:.0%}")
    return signs


def _evidence(facts: Facts, recent: str | None) -> list[str]:
    lines = [f"{name}: {value if value is not None else 'could not be read'}" for name, value in facts]
    return [*lines, recent] if recent else lines
