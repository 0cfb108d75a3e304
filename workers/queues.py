"""Which task queue takes a step: by what it needs access to, and by how long it may take.

A worker has slots for so many steps at once. Watches and waits hold theirs for minutes, so they have a task queue and
slots of their own: two hundred of them keep no other run's first effect waiting. And what needs a credential can have
a queue of its own (`[temporal] roles`), so that only the workers that take it (`[worker] roles`) hold that.

A run names no queue itself. Its worker does, for each step that it schedules, by these rules: replays don't look at it,
so settings may change under open runs.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, get_args

Role = Literal["orchestration", "kubernetes", "database", "aws", "messages", "compliance", "security"]

ROLES: tuple[Role, ...] = get_args(Role)
ORCHESTRATION: Role = "orchestration"
"""Runs themselves, and steps that need the records, Prometheus or nothing."""

WATCHES_FROM = timedelta(minutes=2)
"""A step that may take this long waits or watches: those of `policies.WAIT`, `COLLECT`, `CHILD`."""

_WATCHES = "watches"
_ROLES: Mapping[str, Role] = {
    "activities.accesses": "security",
    "activities.addresses": "security",
    "activities.autoscaling.node_groups": "aws",
    "activities.autoscaling": "kubernetes",
    "activities.certificates.probe": ORCHESTRATION,
    "activities.certificates": "kubernetes",
    "activities.compliance": "compliance",
    "activities.credentials": "security",
    "activities.database": "database",
    "activities.evidence.archive": ORCHESTRATION,
    "activities.evidence": "kubernetes",
    "activities.holds.left_incidents": ORCHESTRATION,
    "activities.holds": "kubernetes",
    "activities.kubernetes": "kubernetes",
    "activities.messages": "messages",
    "activities.releases.helm": "kubernetes",
    "activities.releases.smoke": "kubernetes",
}
"""Module or package → what its activities need; the longest name that fits counts."""


def served(roles: Iterable[Role], separate: Collection[Role]) -> frozenset[Role]:
    """Give the roles whose steps a worker takes; one that has no queue of its own goes with the runs."""
    taken = set(roles)
    return frozenset(role for role in ROLES if (role if role in separate else ORCHESTRATION) in taken)


def role_of(kind: type) -> Role:
    """Tell which role the activities of a class have, by where it is; what is nowhere in the list is the runs' own."""
    parts = kind.__module__.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((_ROLES[name] for name in names if name in _ROLES), ORCHESTRATION)


def name_of(activity: Callable[..., Any]) -> str:
    """Give the name by which runs call an activity."""
    return str(getattr(activity, "__temporal_activity_definition").name)


@dataclass(frozen=True)
class Queues:
    """The task queues of an installation; every process of it must be told the same."""

    base: str
    """Of runs, and of each step that has none of its own."""

    roles: frozenset[Role] = frozenset()
    """Those that have a queue of their own."""

    watches: bool = True
    """Whether watches have."""

    of_activity: Mapping[str, Role] = field(default_factory=dict)
    """Activity's name → role; what isn't named is orchestration."""

    def separate(self, role: Role) -> Role:
        """Tell in whose queue the steps of a role are: its own, or that of the runs."""
        return role if role in self.roles else ORCHESTRATION

    def of(self, activity: str, longest: timedelta | None) -> str:
        """Give the queue of a step; `longest` is what one attempt may take."""
        role = self.separate(self.of_activity.get(activity, ORCHESTRATION))
        return self.named(role, watches=longest is not None and longest >= WATCHES_FROM)

    def named(self, role: Role, *, watches: bool) -> str:
        """Give the name of a role's queue, or of its watches'."""
        parts = [self.base]
        if role != ORCHESTRATION:
            parts.append(role)
        if watches and self.watches:
            parts.append(_WATCHES)
        return "-".join(parts)

    def taken(self, roles: Iterable[Role]) -> list[tuple[str, Role, bool]]:
        """Give each queue that a worker of some roles asks for work: its name, whose it is, whether it is watches'."""
        separate = dict.fromkeys(self.separate(role) for role in roles)
        return [
            (self.named(role, watches=watches), role, watches)
            for role in separate
            for watches in ((False, True) if self.watches else (False,))
        ]
