"""Nodes of the cluster and what they offer (runbook 3.3)."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.errors import RateLimited, Unavailable
from activities.common.heartbeat import Progress, resume, turns
from activities.kubernetes.api import Object, moment, pages
from audit.text import counted
from libraries import kubernetes, kubernetes_quantity

_POLL = timedelta(milliseconds=500)
_SETTLED = timedelta(minutes=30)
"""Then a node has lost the taints of its start."""

_KEEP_OFF = ("NoSchedule", "NoExecute")
_PASSING = (
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "node.cilium.io/",
    "readiness.k8s.io/",
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
    "karpenter.sh/",
    "ToBeDeletedByClusterAutoscaler",
    "DeletionCandidateOfClusterAutoscaler",
)
"""What keys of taints begin with that say how a node is, not what it is for: of Kubernetes, its autoscalers, and those
who take one away when a node may begin. One is never tolerated because another node has it just now."""

_PASSING_AT_LAST = ("not-ready", "notReady", "not-initialized", "uninitialized", "startup", "initializing")
"""What they end with: `ebs.csi.aws.com/agent-not-ready`, `cni.istio.io/not-ready` and many more."""


class NodesRequest(BaseModel):
    """Which nodes, and which of their resources."""

    selector: str
    resource: str = Field(default="nvidia.com/gpu")
    tolerates: tuple[str, ...] = Field(
        default=(), description="Keys of taints that those pods tolerate, beside the resource's own name."
    )


class Node(BaseModel):
    """One node."""

    name: str
    ready: bool
    schedulable: bool
    allocatable: int = Field(description="Units of the resource; 0 where it offers none (yet).")
    created_at: datetime
    taints: list[str] = Field(default_factory=list, description="Keys of those that keep pods off it.")
    unready: list[str] = Field(
        default_factory=list, description="Conditions of others that say Ready in their name, and are not true."
    )

    def lacks(self, resource: str, tolerated: Collection[str] = ()) -> str:
        """Tell what it lacks until pods can use the resource on it; "" where nothing.

        Args:
            resource: That they ask for; a taint of its name is one that they tolerate.
            tolerated: Keys of other taints that they tolerate.

        """
        if not self.ready:
            return "has joined but is NotReady"
        if not self.schedulable:
            return "is Ready but cordoned"
        if not self.allocatable:
            return f"is Ready but offers no {resource}"
        if self.unready:
            return f"is Ready but its condition {', '.join(self.unready)} isn't True"
        kept = [key for key in self.taints if key not in {resource, *tolerated}]
        return f"is Ready, but its taint {', '.join(kept)} keeps pods off" if kept else ""


class Nodes(BaseModel):
    """Nodes of a selector, oldest first."""

    items: list[Node]

    def __str__(self) -> str:
        """For example `3 nodes, 3 ready, 12 units`."""
        units = sum(node.allocatable for node in self.items)
        nodes = counted(len(self.items), "node")
        return f"{nodes}, {sum(node.ready for node in self.items)} ready, {counted(units, 'unit')}"


class AwaitNode(NodesRequest):
    """Wait for a node that is not one of the known ones."""

    known: list[str] = Field(description="Names of the nodes there were before.")
    timeout: timedelta


class NodeJoined(BaseModel):
    """How the wait ended."""

    node: Node | None = Field(description="Ready, schedulable and with the resource allocatable; None: none in time.")
    seconds: float
    reason: str = Field(default="", description="Why there is none: what is still missing.")

    def __str__(self) -> str:
        """One line for the timeline."""
        if self.node is None:
            return f"no new node after {self.seconds:.1f} s: {self.reason}"
        return f"{self.node.name} is Ready with {self.node.allocatable} units after {self.seconds:.1f} s"


class ClusterNodes:
    """Reads nodes; raises what `Kubernetes` raises."""

    def __init__(self, api: "kubernetes.ApiClient") -> None:
        self._core = kubernetes.CoreV1Api(api)

    @activity.defn(name="nodes.list")
    def nodes(self, request: NodesRequest) -> Nodes:
        """Read the nodes of a selector (3.3 step 1): `kubectl get nodes`."""
        raw = pages(self._core.list_node, label_selector=request.selector)
        found = [_node(item, request.resource) for item in raw if "deletionTimestamp" not in item["metadata"]]
        return Nodes(items=sorted(found, key=lambda node: (node.created_at, node.name)))

    @activity.defn(name="nodes.await_new")
    def await_new(self, request: AwaitNode) -> NodeJoined:
        """Wait for a new node to be Ready with the resource allocatable, heartbeating (3.3 steps 3 and 4).

        What `kubectl get nodes` and `kubectl describe nodes` are watched for.

        Running out of time is a result, not an error. An API server that doesn't answer is waited for as well.
        """
        reason, seconds = "", 0.0
        for elapsed in turns(resume(Progress), within=request.timeout, every=_POLL):
            seconds = elapsed
            try:
                found = self.nodes(request).items
            except (Unavailable, RateLimited) as error:
                reason = error.message
                continue
            new = {node.name: node for node in found if node.name not in request.known}
            tolerated = _tolerated(found, request)
            lacking = {name: node.lacks(request.resource, tolerated) for name, node in new.items()}
            for name, node in new.items():
                if not lacking[name]:
                    return NodeJoined(node=node, seconds=elapsed)
            reason = "; ".join(f"{name} {what}" for name, what in lacking.items()) or "no new node yet"
        return NodeJoined(node=None, seconds=seconds, reason=reason)


def _tolerated(nodes: list[Node], request: AwaitNode) -> set[str]:
    """Give the keys of taints that keep nobody off whom it is for: the settings', and what the known nodes have too.

    One that has only just joined may be about to lose its taint: where there are older ones, they count.
    """
    at_work = [node for node in nodes if node.name in request.known and node.ready and node.allocatable]
    settled = datetime.now(UTC) - _SETTLED
    at_work = [node for node in at_work if node.created_at < settled] or at_work
    shared = {key for node in at_work for key in node.taints if not _passes(key)}
    return {*request.tolerates, *shared}


def _passes(key: str) -> bool:
    return key.startswith(_PASSING) or key.endswith(_PASSING_AT_LAST)


def _node(raw: Object, resource: str) -> Node:
    status = raw.get("status", {})
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", ())}
    return Node(
        name=raw["metadata"]["name"],
        ready=conditions.get("Ready") == "True",
        schedulable=not raw["spec"].get("unschedulable", False),
        allocatable=int(kubernetes_quantity.parse_quantity(status.get("allocatable", {}).get(resource, "0"))),  # type: ignore[no-untyped-call]
        created_at=moment(raw["metadata"]["creationTimestamp"]),
        taints=[taint["key"] for taint in raw["spec"].get("taints") or () if taint["effect"] in _KEEP_OFF],
        unready=[name for name, state in conditions.items() if name.endswith("Ready") and state != "True"],
    )
