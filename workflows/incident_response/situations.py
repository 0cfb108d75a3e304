"""What the facts of a P1 point to, by name, and what mends it (runbook 2.2 steps 3 to 6).

`tests/workflows/incident_response/test_situations.py` is the table of all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from activities.kubernetes.states import Events, Pod
from activities.monitoring.health import Health
from audit.text import counted
from workflows.incident_response.surroundings import Surroundings

Reason = Literal[
    "well",
    "stopped",
    "dependency",
    "database",
    "connections",
    "certificate",
    "bad_release",
    "recent_release",
    "no_pods",
    "node",
    "no_nodes",
    "image",
    "configuration",
    "out_of_memory",
    "crashing",
    "saturated",
    "unknown",
]
"""`unknown`: nothing is to be seen."""

Certainty = Literal["proven", "suspected", "open"]
"""Proven: it may be mitigated unasked. Suspected: people are told what speaks for it. Open: nothing speaks for it."""

NOT_OURS: frozenset[Reason] = frozenset({"dependency", "database", "connections", "certificate"})
"""No pod of ours, new or old, makes up for these."""

MENDED_BY: dict[Reason, str] = {
    "dependency": "bring what it needs back first, by that service's own incident (2.2) or full-service-recovery (7.2)",
    "database": "database-failover (7.1) where the primary has failed, point-in-time-restore (7.3) where data is lost",
    "connections": "database-maintenance (6.2), which names who holds them",
    "certificate": "certificate-renewal (6.3)",
    "node": "mend or drain the node; add-gpu-node (3.3) where one is missing",
    "no_nodes": "more nodes: add-gpu-node (3.3), or what scales the node group; more pods would wait as well",
    "image": "the registry, or the image's name; pods that run would be lost by a restart",
    "configuration": "put back what the events name as missing; pods that run would be lost by a restart",
}
"""Where a mitigation of ours doesn't mend it: what does."""

UNSCHEDULABLE = "Unschedulable"
_NODE = {"NodeNotReady", "NodeLost"}
_KINDS: tuple[tuple[Reason, frozenset[str]], ...] = (
    (
        "image",
        frozenset(
            {
                "ImagePullBackOff",
                "ErrImagePull",
                "ErrImageNeverPull",
                "InvalidImageName",
                "ImageInspectError",
                "RegistryUnavailable",
                "SignatureValidationFailed",
                "ImageVolumeMountFailed",
            }
        ),
    ),
    ("configuration", frozenset({"CreateContainerConfigError"})),
    ("out_of_memory", frozenset({"OOMKilled"})),
)
"""Why pods fail, what a restart would make worse first."""

Situation = tuple[Reason, list[str]]
"""What it is, and what speaks for it."""


@dataclass(frozen=True)
class Signs:
    """What was seen, as far as it tells situations apart."""

    health: Health | None
    pods: list[Pod]
    """Those that are to live."""

    failing: list[Pod]
    """Of the release in force."""

    recent: str = ""
    """That the release in force is young, and there is one to go back to."""

    crowded: list[str] = field(default_factory=list)
    """Signs that there are too few pods."""

    events: Events | None = None
    scaled_to_none: bool = False
    """The Deployment asks for no pods."""

    around: Surroundings | None = None
    connections_above: float = 1.0
    """Share of the database's connections that is too many."""

    errors: str = ""
    """That requests fail since a young release, though the service says it is healthy."""

    @property
    def down(self) -> bool:
        """The service itself says that it isn't healthy, or doesn't answer."""
        return self.health is not None and not self.health.healthy

    @property
    def healthy(self) -> bool:
        """It says that it is healthy, and no pod fails."""
        return self.health is not None and self.health.healthy and not self.failing

    @property
    def unwell(self) -> list[str]:
        """What the service says of itself, where it isn't well."""
        return [f"health: {self.health}"] if self.down else []

    @property
    def failure(self) -> str:
        """How many pods fail, and why."""
        reasons = ", ".join(sorted({pod.reason for pod in self.failing}))
        return f"{counted(len(self.failing), 'pod')} failing: {reasons}"


def situation(signs: Signs) -> Situation:
    """Give the plainest thing that the signs point to."""
    if signs.healthy and not signs.errors:
        return "well", [f"health: {signs.health}"]
    for look in (_of_others, _of_the_release, _of_the_nodes, _of_the_pods):
        for found in look(signs):
            return found
    return "unknown", []


def _of_others(signs: Signs) -> Iterator[Situation]:
    """Give what the service needs and doesn't get; what couldn't be looked at isn't fine."""
    around = signs.around
    if around is not None and around.dependencies:
        yield "dependency", [f"{name}: {trouble}" for name, trouble in around.dependencies.items()]
    if around is not None and around.database:
        yield "database", [f"database: {around.database}"]
    if around is not None and around.connections is not None and around.connections >= signs.connections_above:
        yield "connections", [f"{around.connections:.0%} of the database's connections are in use"]
    if signs.health is not None and signs.health.certificate:
        yield "certificate", signs.unwell


def _of_the_release(signs: Signs) -> Iterator[Situation]:
    """Give the young release, where it is the plain suspect: its pods fail, or nothing else explains the trouble."""
    if signs.scaled_to_none:
        yield "no_pods", ["somebody has scaled it to no pods at all", *signs.unwell]
    if not signs.recent:
        return
    if signs.errors:
        yield "recent_release", [signs.recent, signs.errors, "the service says it is healthy all the same"]
    if signs.failing and signs.down:
        yield "bad_release", [signs.recent, signs.failure, *signs.unwell]
    if signs.failing:
        serves = "the service is healthy all the same" if signs.health is not None else "health could not be read"
        yield "recent_release", [signs.recent, signs.failure, serves]
    if signs.down and not signs.crowded:
        yield "recent_release", [signs.recent, *signs.unwell]


def _of_the_nodes(signs: Signs) -> Iterator[Situation]:
    told = {event.object for event in signs.events.items if event.reason in _NODE} if signs.events else set()
    lost = {
        pod.node or pod.name
        for pod in signs.pods
        if not pod.ready and not pod.failing and (pod.reason in _NODE or f"pod/{pod.name}" in told)
    }
    if lost:
        yield "node", [f"the node is not ready: {', '.join(sorted(lost))}", *signs.unwell]
    if waiting := [pod for pod in signs.pods if pod.reason == UNSCHEDULABLE]:
        yield "no_nodes", [f"no node has room for {counted(len(waiting), 'pod')}", *signs.unwell]


def _of_the_pods(signs: Signs) -> Iterator[Situation]:
    for reason, names in _KINDS:
        if any(pod.reason in names for pod in signs.failing):
            yield reason, [signs.failure, *signs.unwell]
    if signs.failing:
        yield "crashing", [signs.failure, *signs.unwell]
    if signs.crowded:
        yield "saturated", [*signs.crowded, *signs.unwell]
