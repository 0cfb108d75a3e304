"""Which replica takes a failed primary's place, and what may be lost with it (runbook 7.1 step 2)."""

from datetime import datetime, timedelta

from pydantic import BaseModel

from activities.catalogue.database import FailoverPolicy
from activities.common.errors import Refused
from activities.database.replication.replica_progress import ReplicaProgress, number
from activities.database.replication.replication import Standing, Watched
from activities.database.upkeep.health import size
from audit.text import alternatives, length
from workflows.platform.approval import Question

_REPLAYS_WITHIN = timedelta(minutes=1)
"""How much older than another's last commit a replica's may be where it has log to replay; else its replay is stuck."""
_MUCH = 64 * 2**20
"""Bytes, four segments: what a replica replays in seconds is no trouble."""


class Candidate(BaseModel):
    """The replica that was chosen, as it was seen."""

    server: str
    standing: ReplicaProgress
    lag: timedelta | None
    """From its last commit to the primary's first silence; None where it has replayed none since it was started."""

    @property
    def loss(self) -> str:
        """What may be lost, in a sentence."""
        has = f"{self.server} has the log up to {self.standing.received}"
        at = self.standing.last_commit_at
        if self.lag is None or at is None:
            return f"{has}; when its last commit was is not known"
        return (
            f"{has}, its last commit is of {at:%F %H:%M:%S.%f %Z}: what the primary acknowledged in the "
            f"{self.lag.total_seconds():.1f} s until it fell silent may be lost, and nothing where replication was "
            "synchronous"
        )


def choose(standing: Standing, watched: Watched, wanted: str | None, *, through_another: bool = False) -> Candidate:
    """Take the replica that has most of the primary's log, or the one that is wanted.

    Promotion ends when all of the log is replayed. So one that receives and doesn't replay comes last, whatever it has
    received. One that is kept behind on purpose, or has the log from another replica, is taken by its name alone; the
    latter only where it is looked at `through_another`.

    Raises:
        Refused: none can take its place; says of each why not.

    """
    considered = standing.servers if wanted is None else {wanted: standing.servers[wanted]}
    objections = {
        name: _objection(found, watched.primary, standing, through_another=through_another)
        or _on_purpose(name, found, wanted)
        for name, found in considered.items()
    }
    fit = {name: considered[name] for name, objection in objections.items() if not objection}
    if not fit:
        why = "; ".join(f"{name}: {objection}" for name, objection in objections.items()) or "there is none"
        raise Refused(
            f"no replica can take the place of {watched.primary} ({why}). Bring one in order, name another one in "
            "`promote`, or restore a backup with point-in-time-restore"
        )
    server = max(
        fit, key=lambda name: (not behind_in_replay(fit[name], standing), fit[name].position, -fit[name].unreplayed)
    )
    return Candidate(server=server, standing=fit[server], lag=_lag(fit[server], watched.first_failed_at))


def taken_over(standing: Standing) -> str:
    """Say that a server has the primary's place already, by whoever's hand: a second one must not be asked for."""
    ahead = [name for name, found in standing.servers.items() if found.reachable and not found.in_recovery]
    if not ahead:
        return ""
    names = alternatives(ahead)
    return (
        f"{names} takes writes already: nobody else is promoted beside it. Where somebody has made it the primary, "
        "point the service's Secret at it; where not, fence it, and begin again"
    )


def behind_in_replay(found: ReplicaProgress, standing: Standing) -> str:
    """Say that a replica receives the log and does not replay it; empty where it does."""
    if found.delay:
        return f"it is kept {length(found.delay)} behind on purpose (recovery_min_apply_delay)"
    if found.paused:
        return "its replay was paused by somebody"
    if not found.unreplayed:
        return ""
    commits = [other.last_commit_at for other in standing.servers.values() if other.reachable and other.last_commit_at]
    newest = max(commits, default=None)
    late = newest is not None and (found.last_commit_at is None or newest - found.last_commit_at > _REPLAYS_WITHIN)
    if late or found.unreplayed >= _MUCH:
        return f"it has not replayed {size(found.unreplayed)} of the log that it has received"
    return ""


def _on_purpose(name: str, found: ReplicaProgress, wanted: str | None) -> str:
    if wanted is not None or not found.delay:
        return ""
    kept = f"is kept {length(found.delay)} behind on purpose (recovery_min_apply_delay)"
    return f"{kept}; `promote` = {name!r} takes it even so"


def by_another(name: str | None, standing: Standing, watched: Watched) -> bool:
    """Whether the replica of this name has the primary's log from another replica.

    Where the primary's site is lost with that other one, it may be all that is left.
    """
    return name is not None and _follows_another(standing.servers[name], watched.primary, standing)


def _follows_another(found: ReplicaProgress, primary: str, standing: Standing) -> bool:
    """Go up from server to server; one that can't be asked is believed to follow the primary."""
    seen, upstream = set[str](), found.upstream
    while upstream and upstream in standing.servers and upstream not in seen:
        seen |= {upstream}
        other = standing.servers[upstream]
        if not other.reachable or (other.in_recovery and other.upstream in {primary, None}):
            return True
        upstream = other.upstream if other.in_recovery else None
    return False


def _objection(found: ReplicaProgress, primary: str, standing: Standing, *, through_another: bool) -> str:
    """Say why a server can't become the primary; empty where it can."""
    theirs = [other for other in standing.servers.values() if other.reachable and other.upstream in {primary, None}]
    follows_another = found.reachable and _follows_another(found, primary, standing)
    if through_another and follows_another:
        theirs.append(found)
    named = "; `promote` takes it by its name" if follows_another and not through_another else ""
    timeline = max((other.timeline for other in theirs), default=0)
    objections = {
        f"unreachable ({found.trouble})": not found.reachable,
        "takes writes already: it is a primary of its own": not found.in_recovery,
        f"follows {found.upstream or 'a server that settings do not know'}, not {primary}{named}": found not in theirs,
        "the replicas are of different databases (their system identifiers differ)": len(
            {other.system_identifier for other in theirs}
        )
        > 1,
        f"is on timeline {found.timeline}, and {timeline} is the latest": found.timeline < timeline,
        f"was started with synchronous_standby_names = {found.synchronous!r} on its command line: nobody could fulfil "
        "it, and no commit would end": bool(found.synchronous) and found.synchronous_fixed,
    }
    return next((text for text, holds in objections.items() if holds), "")


def _lag(found: ReplicaProgress, silent_since: datetime | None) -> timedelta | None:
    if found.last_commit_at is None or silent_since is None:
        return None
    return max(silent_since - found.last_commit_at, timedelta(0))


def question(
    rounds: int, candidate: Candidate, watched: Watched, standing: Standing, policy: FailoverPolicy
) -> Question:
    """Ask whether to fail over, with all that is known."""
    behind = candidate.lag is None or candidate.lag > policy.longest_lag
    ahead = [
        f"{name} has more of the log ({found.received})"
        for name, found in standing.servers.items()
        if found.reachable
        and found.upstream in {watched.primary, None}
        and number(found.received) > number(candidate.standing.received)
    ]
    doubt = [f"longer than {policy.longest_lag}: the primary was idle, or this replica is behind"] if behind else []
    if why := behind_in_replay(candidate.standing, standing):
        doubt.append(f"{why}; promotion replays {size(candidate.standing.unreplayed)} first, which takes its time")
    if (upstream := candidate.standing.upstream) not in {watched.primary, None}:
        doubt.append(
            f"it follows {upstream}, and {watched.primary} only through that: what that had not passed on is lost"
        )
    return Question(
        id=f"failover-{rounds}",
        title=f"Fence {watched.primary} and promote {candidate.server}?",
        options={
            "promote": f"{watched.primary} is fenced for good, {candidate.server} takes writes, the service follows",
            "leave": "nothing is changed",
        },
        recommended=None if doubt or ahead else "promote",
        default="leave",
        kind="failover",
        reason_for=["promote"] if doubt or ahead else [],
        evidence=[str(watched), str(standing), candidate.loss, *doubt, *ahead],
        timeout=policy.decision_timeout,
    )
