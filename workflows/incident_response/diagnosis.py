"""From facts to a mitigation: the choice of runbook 2.2 between options A, B and C, as a pure function."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from pydantic import BaseModel, Field

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import IncidentPolicy, Mitigation
from activities.kubernetes.states import DeploymentState, Events, Pod, Pods
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
    says_healthy: bool = Field(default=False, description="The service itself says so, and no pod fails.")
    down: bool = Field(default=False, description="The service itself says that it isn't healthy, or doesn't answer.")
    clear: bool
    proposals: list[Proposal]
    evidence: list[str] = Field(description="For the person who is asked.")
    reason: Reason = "unknown"
    certainty: Certainty = "open"
    because: list[str] = Field(default_factory=list, description="What speaks for the reason.")
    left_to: str = Field(default="", description="The run that keeps the service stopped for now, and until when.")
    in_doubt: list[str] = Field(default_factory=list, description="Releases that a rollback passes over, and why.")

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
    within_the_hpa: bool = True,
    errors: str = "",
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
    More pods than an HPA keeps are none: C goes up to its maximum, and is no choice beyond. Runs from before KEDA and
    HPA were held for it don't scale `within_the_hpa`.
    A service that says it is healthy isn't, where `errors` have come with a young release: that is suspected, and
    never more, since the service itself says otherwise.
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
        errors=errors if recent and rollback and not none_asked else "",
    )
    back = facts.deployment.brought_back(now, starting) if facts.deployment is not None else ""
    if back and not signs.healthy and not failing:
        return _left(facts, back, f"the service is left to {back}")
    reason, because = situation(signs)
    replicas, no_room = scale_up_to(facts, policy.scale_to) if within_the_hpa else (policy.scale_to, [])

    found = _Found(signs, reason, because, recent or "", as_before=as_before)
    ranked = [] if rollback is None else [found.rollback(rollback, doubted=bool(doubts))]
    if facts.deployment is not None:
        ranked.append(found.restart(facts.deployment, replaced_after=now - policy.recent_rollout))
        if facts.deployment.replicas < replicas:
            ranked.append(found.more_pods(facts.deployment, replicas))

    left = [one for one in ranked if one[1].mitigation not in tried]
    proposals = [proposal for rank in _RANKS for of, proposal in left if of == rank]
    clear = [rank for rank, _ in left].count("likely") == 1 and not signs.errors
    healthy = signs.healthy and not signs.errors
    return Diagnosis(
        healthy=healthy,
        says_healthy=signs.healthy,
        down=signs.down,
        clear=clear,
        proposals=proposals,
        evidence=[*_evidence(facts, recent), *no_room],
        reason=reason,
        certainty="proven" if clear or healthy else "suspected" if because else "open",
        because=because,
        in_doubt=doubts,
    )


_Rank = Literal["likely", "suspected", "possible"]
_RANKS: tuple[_Rank, ...] = get_args(_Rank)
"""In the order in which they are proposed."""

_Ranked = tuple[_Rank, Proposal]


@dataclass(frozen=True)
class _Found:
    """What was found, as far as it speaks for one mitigation or another."""

    signs: Signs
    reason: Reason
    because: list[str]
    recent: str
    """That the release in force is young."""

    as_before: bool

    @property
    def ours(self) -> bool:
        return self.reason not in NOT_OURS

    def rollback(self, proposal: Proposal, *, doubted: bool) -> _Ranked:
        """Rank A, and say what speaks for it."""
        signs = self.signs
        broken = signs.failing or signs.down or signs.errors
        if not (self.ours and self.recent and broken) or signs.scaled_to_none:
            return "possible", proposal
        told = self.reason in {"bad_release", "recent_release"}
        proposal.because = self.because if told else [self.recent, *self.because]
        return "likely" if signs.failing and signs.down and not doubted else "suspected", proposal

    def restart(self, state: DeploymentState, *, replaced_after: datetime) -> _Ranked:
        """Rank B, and say what speaks for it."""
        proposal = Proposal(mitigation="restart", does=f"restart all pods of {state.name}", because=[])
        replaced = state.rolled_out_at > replaced_after and len(state.revisions) > 1
        helps = self.as_before or self.reason in {"crashing", "out_of_memory"}
        if not (self.signs.failing and self.signs.down and helps) or self.recent or replaced:
            return "possible", proposal
        proposal.because = [self.signs.failure, "no recent rollout"]
        return "likely", proposal

    def more_pods(self, state: DeploymentState, replicas: int) -> _Ranked:
        """Rank C, and say what speaks for it."""
        signs = self.signs
        proposal = Proposal(
            mitigation="scale",
            does=f"scale {state.name} from {state.replicas} to {counted(replicas, 'replica')}",
            because=signs.crowded if self.as_before or (self.ours and self.reason != "no_nodes") else [],
            replicas=replicas,
        )
        if signs.scaled_to_none and self.ours:
            proposal.because = self.because
            return "suspected", proposal  # whoever has done it may have meant it
        return "likely" if proposal.because and not signs.failing else "possible", proposal


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


def scale_up_to(facts: Facts, wanted: int) -> tuple[int, list[str]]:
    """Give how many of the replicas that are wanted the HPA leaves alone; and that it has no room, where it hasn't."""
    most = facts.autoscaling.keeps_at_most if facts.autoscaling else None
    if most is None or most >= wanted:
        return wanted, []
    full = facts.deployment is not None and facts.deployment.replicas >= most
    return most, [f"no more pods: the HPA takes away what is above its maximum of {most}; raise that first"] * full


def _evidence(facts: Facts, recent: str | None) -> list[str]:
    lines = [f"{name}: {value if value is not None else 'could not be read'}" for name, value in facts]
    return [*lines, recent] if recent else lines
