"""What a security incident speaks of: nodes, the pods on them, and what each of those is to a drain (runbook 8.1).

A pod is its UID: one of the same name with another UID is another pod.
"""

from collections import Counter
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from activities.common.text import Key, ToldLine
from activities.kubernetes.api import Object
from audit.text import counted

QUARANTINE = "runbooks.dev/quarantine"
"""Label of an isolated pod: the incident's ID. The deny-all NetworkPolicy selects by it."""

_MIRROR = "kubernetes.io/config.mirror"
_FINISHED = frozenset({"Succeeded", "Failed"})

Grade = Literal["moves", "needs force", "daemon set", "mirror"]
"""What `kubectl drain --ignore-daemonsets` does with a pod: evict it; refuse; leave it; skip it."""


class PodRef(BaseModel):
    """One pod, and no other of its name."""

    model_config = ConfigDict(frozen=True)

    namespace: Key
    name: Key
    uid: Key

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class SeenPod(BaseModel):
    """A pod as it was seen."""

    ref: PodRef
    node: Key = ""
    controller: ToldLine = Field(default="", description="For example `ReplicaSet/tensafe-server-6c9`; empty for none.")
    grade: Grade
    why: list[ToldLine] = Field(default_factory=list, description="Why it needs force, or is left.")
    suspect: bool = Field(default=False, description="It is to be isolated.")
    host_network: bool = Field(default=False, description="No NetworkPolicy holds for it.")

    def __str__(self) -> str:
        return f"{self.ref} ({', '.join(self.why)})" if self.why else str(self.ref)


class SeenNode(BaseModel):
    """A node as it was seen."""

    name: Key
    schedulable: bool
    held_by: list[ToldLine] = Field(default_factory=list, description="Runs that hold it cordoned.")


class Suspects(BaseModel):
    """Everything that an incident speaks of."""

    nodes: list[SeenNode]
    pods: list[SeenPod]

    @property
    def suspected(self) -> list[PodRef]:
        """Those that are to be isolated."""
        return [pod.ref for pod in self.pods if pod.suspect]

    def of(self, grade: Grade) -> list[SeenPod]:
        """Those that a drain treats so."""
        return [pod for pod in self.pods if pod.grade == grade]

    def __str__(self) -> str:
        grades = Counter(pod.grade for pod in self.pods)
        told = ", ".join(f"{count} {grade}" for grade, count in sorted(grades.items())) or "none"
        pods, nodes = counted(len(self.pods), "pod"), counted(len(self.nodes), "node")
        return f"{nodes}, {pods} ({told}), {len(self.suspected)} suspected"


def ref(pod: Object) -> PodRef:
    """Give a pod's identity."""
    metadata = pod["metadata"]
    return PodRef(namespace=metadata["namespace"], name=metadata["name"], uid=metadata["uid"])


def controller(pod: Object) -> Object | None:
    """Give the owner that replaces it; None where nobody does."""
    owners: list[Object] = pod["metadata"].get("ownerReferences") or []
    return next((owner for owner in owners if owner.get("controller")), None)


def seen(pod: Object, *, suspect: bool = False) -> SeenPod:
    """Tell what a pod is to a drain, as kubectl's filters do (kubectl, pkg/drain/filters.go).

    A pod that this system has isolated has lost its controller by that, and has been replaced: it moves.
    """
    owner, metadata, spec = controller(pod), pod["metadata"], pod["spec"]
    finished = pod.get("status", {}).get("phase") in _FINISHED
    why: list[str] = []
    grade: Grade = "moves"
    if _MIRROR in (metadata.get("annotations") or {}):
        grade, why = "mirror", ["a static pod: its node's files make it"]
    elif owner is not None and owner["kind"] == "DaemonSet" and not finished:
        grade, why = "daemon set", [f"of DaemonSet {owner['name']}"]
    elif not finished:
        if owner is None and QUARANTINE not in (metadata.get("labels") or {}):
            why.append("no controller brings it back")
        why += [f"its emptyDir {v['name']} is lost" for v in spec.get("volumes") or () if "emptyDir" in v]
        grade = "needs force" if why else "moves"
    return SeenPod(
        ref=ref(pod),
        node=spec.get("nodeName", ""),
        controller=f"{owner['kind']}/{owner['name']}" if owner else "",
        grade=grade,
        why=why,
        suspect=suspect,
        host_network=bool(spec.get("hostNetwork")),
    )
