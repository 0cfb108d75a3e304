"""What a pod is to a drain is decided as kubectl does, but for a pod that this system has isolated."""

from typing import Any

import pytest

from activities.kubernetes.suspects import QUARANTINE, SeenNode, Suspects, seen


def pod(owner: str = "", *, phase: str = "Running", metadata: Any = None, **spec: Any) -> dict[str, Any]:
    owners = [{"kind": owner, "name": "of-it", "controller": True}] if owner else []
    known = {"namespace": "shop", "name": "web", "uid": "u1", "ownerReferences": owners, **(metadata or {})}
    return {"metadata": known, "spec": {"nodeName": "n1", **spec}, "status": {"phase": phase}}


MIRROR = {"annotations": {"kubernetes.io/config.mirror": "abc"}}
SCRATCH = [{"name": "scratch", "emptyDir": {}}, {"name": "config", "configMap": {}}]


@pytest.mark.parametrize(
    ("raw", "grade", "why"),
    [
        (pod("ReplicaSet"), "moves", []),
        (pod(), "needs force", ["no controller brings it back"]),
        (pod(phase="Succeeded"), "moves", []),
        (pod(phase="Failed", volumes=SCRATCH), "moves", []),
        (pod("ReplicaSet", volumes=SCRATCH), "needs force", ["its emptyDir scratch is lost"]),
        (pod(volumes=SCRATCH), "needs force", ["no controller brings it back", "its emptyDir scratch is lost"]),
        (pod(metadata={"labels": {QUARANTINE: "SEC-1"}}), "moves", []),
        (
            pod(metadata={"labels": {QUARANTINE: "SEC-1"}}, volumes=SCRATCH),
            "needs force",
            ["its emptyDir scratch is lost"],
        ),
        (pod("DaemonSet"), "daemon set", ["of DaemonSet of-it"]),
        (pod("DaemonSet", phase="Failed"), "moves", []),
        (pod("DaemonSet", metadata=MIRROR), "mirror", ["a static pod: its node's files make it"]),
        (pod("Node", metadata=MIRROR), "mirror", ["a static pod: its node's files make it"]),
    ],
)
def test_what_a_drain_does_with_it(raw: dict[str, Any], grade: str, why: list[str]) -> None:
    found = seen(raw)
    assert (found.grade, found.why) == (grade, why)


def test_an_owner_that_does_not_control_it_brings_nothing_back() -> None:
    raw = pod(metadata={"ownerReferences": [{"kind": "ReplicaSet", "name": "x"}]})
    assert (seen(raw).controller, seen(raw).grade) == ("", "needs force")


def test_it_is_told_with_what_keeps_it() -> None:
    known = seen(pod("ReplicaSet", hostNetwork=True), suspect=True)
    assert (str(known), known.controller, known.node, known.host_network) == (
        "shop/web",
        "ReplicaSet/of-it",
        "n1",
        True,
    )
    assert str(seen(pod())) == "shop/web (no controller brings it back)"


def test_an_incident_counts_what_it_speaks_of() -> None:
    pods = [seen(pod("ReplicaSet"), suspect=True), seen(pod()), seen(pod("DaemonSet"))]
    found = Suspects(nodes=[SeenNode(name="n1", schedulable=True)], pods=pods)
    assert str(found) == "1 node, 3 pods (1 daemon set, 1 moves, 1 needs force), 1 suspected"
    assert found.suspected == [pods[0].ref]
    assert found.of("daemon set") == [pods[2]]
    assert str(Suspects(nodes=[], pods=[])) == "0 nodes, 0 pods (none), 0 suspected"
