"""From facts to a mitigation: the choice of runbook 2.2 between options A, B and C, as a pure function."""

from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import IncidentPolicy, Mitigation
from activities.kubernetes.states import DeploymentState, Events, Pod, Pods
from activities.monitoring.degradation import Limits
from activities.monitoring.figures import Figures
from activities.monitoring.health import Health
from activities.monitoring.prometheus import Metrics
from activities.records.deployments import Deployments
from audit.text import counted, length
from workflows.incident_response.situations import (
    MENDED_BY,
    NOT_OURS,
    UNSCHEDULABLE,
    Certainty,
    Reason,
    Signs,
    situation,
)
from workflows.incident_response.surroundings import Surroundings
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

    @property
    def figures(self) -> Figures:
        """Error rate and latency, as they are now."""
        values = self.metrics.values if self.metrics else {}
        return Figures(error_rate=values.get("error_rate"), p95_latency=values.get("p95_latency"))


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
    reason: Reason = "unknown"
    certainty: Certainty = "open"
    because: list[str] = Field(default_factory=list, description="What speaks for the reason.")
    left_to: str = Field(default="", description="The run that keeps the service stopped for now, and until when.")
    in_doubt: list[str] = Field(default_factory=list, description="Releases that a rollback passes over, and why.")
    all_the_same: list[str] = Field(
        default_factory=list,
        description="Where it says that it is healthy: figures that say otherwise, and since when.",
    )

    @property
    def first(self) -> Proposal | None:
        """The recommended one."""
        return self.proposals[0] if self.proposals else None

    @property
    def not_ours(self) -> bool:
        """Whether something that the service needs is the matter: nothing is done unasked, in no way."""
        return self.reason in NOT_OURS

    @property
    def mended_by(self) -> str:
        """Name what mends it, where none of the mitigations does."""
        return MENDED_BY.get(self.reason, "")

    def find(self, choice: str) -> Proposal | None:
        """Find a proposal by its mitigation."""
        return next((p for p in self.proposals if p.mitigation == choice), None)


def diagnose(
    facts: Facts,
    policy: IncidentPolicy,
    tried: set[str],
    now: datetime,
    *,
    container: str | None = None,
    around: Surroundings | None = None,
    connections_above: float = 1.0,
    as_before: bool = False,
    starting: timedelta = timedelta(0),
    since: datetime | None = None,
    proven: bool = True,
    limits: Limits | None = None,
) -> Diagnosis:
    """Choose between rollback, restart and scaling.

    A is clear when pods of the release in force fail, the service is not healthy, and that release is younger than
    `recent_rollout`; with all its pods ready, or while the old ones still serve, it is suspected, and recommended, but
    a person decides. Where somebody has scaled it to nothing, no other release helps. A restart makes no release
    younger, and one that was gone back to is no new one. B is clear when pods crash that nobody has replaced lately,
    and a new pod could start; C when all pods are well but saturated. Whatever was tried is not proposed again. What
    nothing speaks for is offered, so that a person can still choose it, but isn't clear.
    Where a run keeps the service stopped (a restore does, 7.3), that run brings it back: there is nothing to propose.
    Nor is there while its pods are `starting` after that, unless they fail: health, figures and pods that wait still
    tell of the stop, and may have been read before it ended.
    While something that the service needs of others is down (`around`), nothing is clear: no pod makes up for it.
    Runs that began `as_before` are judged without what is known of others and of nodes; without `proven`, the release
    before is taken for a good one however short it was in force, and whether or not the outage has lasted `since` then.
    Figures beyond the `limits` of a service that says it is healthy are told, and nothing is done for them: see 2.3.
    """
    if facts.deployment is not None and facts.deployment.stopped:
        return _left(facts, facts.deployment.stopped, f"the service is kept stopped by {facts.deployment.stopped}")
    releases = known_releases(facts, policy, container, since=since, proven=proven)
    doubts = releases.in_doubt if releases else []
    failing = releases.failing(facts.pods) if releases else _all_failing(facts.pods)
    recent = recent_rollout(releases, policy.recent_rollout, now)
    rollback = rollback_proposal(releases)
    crowded = saturation(facts, policy, unschedulable=as_before, young=bool(recent and rollback))
    none_asked = facts.deployment is not None and facts.deployment.scaled_to_none
    signs = Signs(
        health=facts.health,
        pods=[pod for pod in (facts.pods.items if facts.pods else []) if not pod.terminating],
        failing=failing,
        recent=recent or "" if rollback else "",
        crowded=crowded,
        events=facts.events,
        scaled_to_none=none_asked,
        around=around,
        connections_above=connections_above,
    )
    back = facts.deployment.brought_back(now, starting) if facts.deployment is not None else ""
    if back and not signs.healthy and not failing:
        return _left(facts, back, f"the service is left to {back}")
    reason, because = situation(signs)

    likely: list[Proposal] = []
    suspected: list[Proposal] = []
    possible: list[Proposal] = []
    ours = reason not in NOT_OURS
    if rollback is not None:
        if ours and recent and (failing or signs.down) and not none_asked:
            rollback.because = because if reason in {"bad_release", "recent_release"} else [recent, *because]
            (likely if failing and signs.down and not doubts else suspected).append(rollback)
        else:
            possible.append(rollback)
    if facts.deployment is not None:
        restart = Proposal(mitigation="restart", does=f"restart all pods of {facts.deployment.name}", because=[])
        replaced = facts.deployment.rolled_out_at > now - policy.recent_rollout and len(facts.deployment.revisions) > 1
        helps = as_before or reason in {"crashing", "out_of_memory"}
        if failing and signs.down and helps and not recent and not replaced:
            restart.because = [signs.failure, "no recent rollout"]
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
                because=crowded if as_before or (ours and reason != "no_nodes") else [],
                replicas=policy.scale_to,
            )
            if none_asked and ours:
                scale.because = because
                suspected.append(scale)  # whoever has done it may have meant it
            else:
                (likely if scale.because and not failing else possible).append(scale)

    beyond = limits.beyond(facts.figures) if limits is not None and signs.healthy else []
    proposals = [p for p in likely + suspected + possible if p.mitigation not in tried]
    clear = bool(proposals) and len([p for p in likely if p.mitigation not in tried]) == 1
    return Diagnosis(
        healthy=signs.healthy,
        down=signs.down,
        clear=clear,
        proposals=proposals,
        evidence=_evidence(facts, recent),
        reason=reason,
        certainty="proven" if clear or signs.healthy else "suspected" if because else "open",
        because=because,
        in_doubt=doubts,
        all_the_same=_all_the_same(beyond, recent if rollback else None),
    )


def _all_the_same(beyond: list[str], recent: str | None) -> list[str]:
    suspect = [f"{recent} (`runbooks start rollback` takes it back)"] if recent else []
    return [*beyond, *suspect] if beyond else []


def known_releases(
    facts: Facts,
    policy: IncidentPolicy,
    container: str | None,
    *,
    since: datetime | None = None,
    proven: bool = True,
) -> Releases | None:
    """Give the releases that there are, with what speaks against them; None where they could not be read."""
    if facts.deployment is None:
        return None
    if not proven:
        return Releases(facts.deployment, facts.deployments, container=container, proven_after=timedelta(0))
    return Releases(
        facts.deployment,
        facts.deployments,
        container=container,
        proven_after=policy.proven_after,
        since=since,
        pods=facts.pods,
    )


def _left(facts: Facts, to: str, why: str) -> Diagnosis:
    """Leave it to the run that has stopped it."""
    return Diagnosis(
        healthy=False,
        clear=True,
        proposals=[],
        evidence=_evidence(facts, None),
        left_to=to,
        reason="stopped",
        certainty="proven",
        because=[why],
    )


def rollback_proposal(releases: Releases | None) -> Proposal | None:
    """Pin the way back to the last good release; None where there is none."""
    if releases is None or releases.state.paused:
        return None
    state, target = releases.state, releases.last_good
    if target is None:
        return None
    doubts = f"; in doubt: {', '.join(releases.in_doubt)}" if releases.in_doubt else ""
    return Proposal(
        mitigation="rollback",
        does=(
            f"roll {state.name} back from {releases.current} to {releases.version(target)} (revision {target.number})"
            + doubts
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
    ago = timedelta(seconds=max(round((now - released_at).total_seconds()), 0))  # clocks differ
    return f"{releases.current} was rolled out {length(ago)} ago"


def _all_failing(pods: Pods | None) -> list[Pod]:
    return [pod for pod in pods.items if pod.failing and not pod.terminating] if pods else []


def saturation(facts: Facts, policy: IncidentPolicy, *, unschedulable: bool = False, young: bool = False) -> list[str]:
    """Name the signs that there are too few pods; a pod for which no node has room is none, unless it counts as one.

    Of a `young` release pods are being started anyway: that says nothing of how many are needed.
    """
    signs = []
    if facts.autoscaling and facts.autoscaling.at_maximum:
        signs.append(f"the HPA is at its maximum of {facts.autoscaling.hpa_max}")
    pending = [
        pod
        for pod in (facts.pods.items if facts.pods else [])
        if pod.phase == "Pending" and not pod.failing and (unschedulable or pod.reason != UNSCHEDULABLE)
        if not (young and pod.starting)
    ]
    if pending:
        signs.append(f"{counted(len(pending), 'pod')} pending")
    used = facts.metrics.values.get("saturation") if facts.metrics else None
    if used is not None and used > policy.saturated_above:
        signs.append(f"saturation {used:.0%} is above {policy.saturated_above:.0%}")
    return signs


def _evidence(facts: Facts, recent: str | None) -> list[str]:
    lines = [f"{name}: {value if value is not None else 'could not be read'}" for name, value in facts]
    return [*lines, recent] if recent else lines
