"""Situations of 2.2, and what is to be seen of each."""

from datetime import timedelta
from typing import Any

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import IncidentPolicy
from activities.kubernetes.states import DeploymentState, Event, Events, Pod, Pods, Revision
from activities.monitoring.health import Health
from activities.monitoring.prometheus import Metrics
from activities.records.deployments import Deployment, Deployments
from tests.workflows.incident_response.diagnosed import DOWN, NOW, WELL
from workflows.incident_response.diagnosis import Diagnosis, Facts, diagnose
from workflows.incident_response.mitigation import BY_HAND
from workflows.incident_response.surroundings import Surroundings

OLD, YOUNG = timedelta(days=3), timedelta(minutes=5)

EXPIRED = Health(
    status="unreachable", milliseconds=1, certificate=True, detail="its certificate is not accepted: has expired"
)


FIVE_XX = Health(status="unhealthy", milliseconds=1, http_status=503)


LIMITS: dict[str, Any] = {"connections_above": 0.9, "starting": timedelta(minutes=5)}


FULL: dict[str, Any] = {"hpa_min": 1, "hpa_max": 3, "hpa_current": 3, "hpa_desired": 3}


AT_ITS_MAXIMUM = Autoscaling(**FULL, scaled_object_paused=False)
"""KEDA's, which a pause keeps from taking more pods away."""


NO_ROOM = Autoscaling(**FULL)
"""Nobody else's: what is above its maximum it takes away within seconds."""


def pods(*reasons: str, ready: int = 0, phase: str = "Running", node: str = "node-1", terminating: int = 0) -> Pods:
    """Give pods that aren't ready, by reason, beside `ready` ones; the first `terminating` of all are going."""
    every = [*reasons, *[""] * ready]
    return Pods(
        items=[
            Pod(
                name=f"p{n}",
                phase=phase if n < len(reasons) else "Running",
                ready=n >= len(reasons),
                restarts=0,
                reason=reason,
                image="x:v2",
                created_at=NOW,
                node=node,
                terminating=n < terminating,
            )
            for n, reason in enumerate(every)
        ]
    )


def state(age: timedelta = OLD, *tags: str, **fields: Any) -> DeploymentState:
    tags = tags or ("v1", "v2")
    revisions = [
        Revision(number=n, images=[f"registry.example/app:{tag}"], created_at=NOW - age, pod_template_hash=str(n))
        for n, tag in enumerate(tags, start=1)
    ]
    return DeploymentState(
        **{
            "name": "app",
            "namespace": "n",
            "replicas": 3,
            "updated": 3,
            "ready": 0,
            "available": 0,
            "paused": False,
            "current_revision": len(tags),
            "revisions": revisions,
            "rolled_out_at": NOW - age,
            **fields,
        }
    )


def back(ago: timedelta) -> dict[str, Any]:
    return {"brought_back_by": "restore/x", "brought_back_at": NOW - ago}


def lost(pod: str, reason: str = "NodeNotReady") -> Events:
    return Events(
        items=[Event(at=NOW, type="Warning", reason=reason, object=f"pod/{pod}", message="Node is not ready", count=1)]
    )


SITUATIONS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    # what is the matter: facts, the reason's name, what is recommended, how sure it is
    "healthy": ({"health": WELL, "pods": pods(ready=3)}, "well", BY_HAND, "proven"),
    "kept stopped by a restore": (
        {"deployment": state(stopped_by="restore/x", stopped_until=NOW)},
        "stopped",
        BY_HAND,
        "proven",
    ),
    "just brought back by a restore, its pods not ready yet": (
        {"deployment": state(**back(timedelta(minutes=5))), "pods": pods("", phase="Pending")},
        "stopped",
        BY_HAND,
        "proven",
    ),
    "brought back by a restore a while ago, and pods wait still": (
        {"deployment": state(**back(timedelta(minutes=5, seconds=1))), "pods": pods("", phase="Pending")},
        "saturated",
        "scale",
        "proven",
    ),
    "just brought back by a restore, and its pods crash": (
        {"deployment": state(**back(timedelta(minutes=1))), "pods": pods("CrashLoopBackOff")},
        "crashing",
        "restart",
        "proven",
    ),
    "just brought back by a restore, and healthy": (
        {"deployment": state(**back(timedelta(minutes=1))), "pods": pods(ready=3), "health": WELL},
        "well",
        BY_HAND,
        "proven",
    ),
    # a young release
    "a young release crash-loops": (
        {"deployment": state(YOUNG), "pods": pods("CrashLoopBackOff")},
        "bad_release",
        "rollback",
        "proven",
    ),
    "a young release can't be pulled, and nothing serves": (
        {"deployment": state(YOUNG), "pods": pods("ImagePullBackOff")},
        "bad_release",
        "rollback",
        "proven",
    ),
    "a young release can't be pulled, and the old pods still serve": (
        {"deployment": state(YOUNG), "pods": pods("ImagePullBackOff", ready=2), "health": WELL},
        "recent_release",
        "rollback",
        "suspected",
    ),
    "a young release runs out of memory": (
        {"deployment": state(YOUNG), "pods": pods("OOMKilled")},
        "bad_release",
        "rollback",
        "proven",
    ),
    "a young release misses its configuration": (
        {"deployment": state(YOUNG), "pods": pods("CreateContainerConfigError")},
        "bad_release",
        "rollback",
        "proven",
    ),
    "a young release, 5xx with all pods ready": (
        {"deployment": state(YOUNG), "pods": pods(ready=3), "health": FIVE_XX},
        "recent_release",
        "rollback",
        "suspected",
    ),
    "a young release, its pods not ready": (
        {"deployment": state(YOUNG), "pods": pods("", "")},
        "recent_release",
        "rollback",
        "suspected",
    ),
    "a young release asks for more than a node has": (
        {"deployment": state(YOUNG), "pods": pods("Unschedulable", phase="Pending")},
        "recent_release",
        "rollback",
        "suspected",
    ),
    "a young release fails, and health can't be read": (
        {"deployment": state(YOUNG), "pods": pods("Error"), "health": None},
        "recent_release",
        "rollback",
        "suspected",
    ),
    "a young release, one of its pods just being started": (
        {
            "deployment": state(YOUNG),
            "pods": Pods(
                items=[
                    *pods(ready=2).items,
                    *(
                        one.model_copy(update={"starting": True})
                        for one in pods("ContainerCreating", phase="Pending").items
                    ),
                ]
            ),
        },
        "recent_release",
        "rollback",
        "suspected",
    ),
    "a young release that somebody has scaled to nothing": (
        {"deployment": state(YOUNG, replicas=0, scaled_to_none=True), "pods": pods()},
        "no_pods",
        "scale",
        "suspected",
    ),
    "an old one that somebody has scaled to nothing": (
        {"deployment": state(replicas=0, scaled_to_none=True), "pods": pods()},
        "no_pods",
        "scale",
        "suspected",
    ),
    "a young release, saturated": (
        {"deployment": state(YOUNG), "pods": pods(ready=3), "autoscaling": AT_ITS_MAXIMUM},
        "saturated",
        "scale",
        "proven",
    ),
    "the first release of all crash-loops": (
        {"deployment": state(YOUNG, "v1"), "pods": pods("Error")},
        "crashing",
        "restart",
        "proven",
    ),
    "a young release crash-loops, and the one before is to blame as well": (
        {
            "deployment": state(YOUNG),
            "pods": pods("Error"),
            "deployments": Deployments(
                items=[Deployment(version="v1", status="failed", deployer="ci", started_at=NOW, revision=1)]
            ),
        },
        "crashing",
        BY_HAND,
        "suspected",
    ),
    # long after a release
    "an old release crash-loops": ({"pods": pods("CrashLoopBackOff")}, "crashing", "restart", "proven"),
    "an old release runs out of memory": ({"pods": pods("OOMKilled")}, "out_of_memory", "restart", "proven"),
    "an old release can't be pulled on a new node": ({"pods": pods("ErrImagePull")}, "image", BY_HAND, "suspected"),
    "an old release can't be pulled, and the old pods still serve": (
        {"pods": pods("ImagePullBackOff", ready=2), "health": WELL},
        "image",
        BY_HAND,
        "suspected",
    ),
    "its configuration is gone": (
        {"pods": pods("CreateContainerConfigError", "CrashLoopBackOff")},
        "configuration",
        BY_HAND,
        "suspected",
    ),
    "5xx with all pods ready, long after": ({"pods": pods(ready=3), "health": FIVE_XX}, "unknown", BY_HAND, "open"),
    "crash loops right after a restart": (
        {
            "deployment": state(OLD, "v1", "v2", "v2", rolled_out_at=NOW - YOUNG),
            "pods": pods("Error"),
        },
        "crashing",
        BY_HAND,
        "suspected",
    ),
    "some crash, and the service is healthy all the same": (
        {"pods": pods("CrashLoopBackOff", ready=2), "health": WELL},
        "crashing",
        BY_HAND,
        "suspected",
    ),
    "crash loops right after the way back to the only other one": (
        {
            "deployment": state(
                OLD,
                rolled_out_at=NOW - YOUNG,
                current_revision=3,
                revisions=[
                    Revision(number=2, images=["app:v2"], created_at=NOW - OLD, pod_template_hash="2"),
                    Revision(number=3, images=["app:v1"], created_at=NOW - OLD, pod_template_hash="1", earlier=[1]),
                ],
            ),
            "pods": pods("Error"),
        },
        "crashing",
        BY_HAND,
        "suspected",
    ),
    "a release exactly as old as one that is suspected may be": (
        {"deployment": state(timedelta(hours=1)), "pods": pods("Error")},
        "bad_release",
        "rollback",
        "proven",
    ),
    # too little room
    "saturated": (
        {"pods": pods(ready=3), "metrics": Metrics(values={"saturation": 0.97})},
        "saturated",
        "scale",
        "proven",
    ),
    "exactly as busy as it may be": (
        {"pods": pods(ready=3), "metrics": Metrics(values={"saturation": 0.85})},
        "unknown",
        BY_HAND,
        "open",
    ),
    "KEDA's HPA at its maximum": (
        {"pods": pods(ready=3), "autoscaling": AT_ITS_MAXIMUM},
        "saturated",
        "scale",
        "proven",
    ),
    "an HPA at its maximum: it would take more pods away": (
        {"pods": pods(ready=3), "autoscaling": NO_ROOM},
        "saturated",
        BY_HAND,
        "suspected",
    ),
    "saturated, and the HPA has room for one more": (
        {
            "pods": pods(ready=3),
            "autoscaling": Autoscaling(hpa_min=1, hpa_max=4, hpa_current=3, hpa_desired=3),
            "metrics": Metrics(values={"saturation": 0.97}),
        },
        "saturated",
        "scale",
        "proven",
    ),
    "a young release, saturated, and the HPA at its maximum": (
        {"deployment": state(YOUNG), "pods": pods(ready=3), "autoscaling": NO_ROOM},
        "saturated",
        "rollback",
        "suspected",
    ),
    "pods that are just being started": ({"pods": pods("", phase="Pending")}, "saturated", "scale", "proven"),
    "pending for want of nodes": (
        {"pods": pods("Unschedulable", "Unschedulable", phase="Pending", ready=1)},
        "no_nodes",
        BY_HAND,
        "suspected",
    ),
    "pending for want of nodes, and saturated: more pods would wait as well": (
        {"pods": pods("Unschedulable", phase="Pending", ready=1), "autoscaling": AT_ITS_MAXIMUM},
        "no_nodes",
        BY_HAND,
        "suspected",
    ),
    "as many pods as settings let an emergency have": (
        {"pods": pods(ready=3), "autoscaling": AT_ITS_MAXIMUM, "deployment": state(replicas=10)},
        "saturated",
        BY_HAND,
        "suspected",
    ),
    # nodes
    "a node is not ready, an event says": (
        {"pods": pods("", ready=2), "events": lost("p0")},
        "node",
        BY_HAND,
        "suspected",
    ),
    "a node is not ready, the pod says": ({"pods": pods("NodeLost", ready=2)}, "node", BY_HAND, "suspected"),
    "a pod is not ready, and an event tells of something else": (
        {"pods": pods("", ready=2), "events": lost("p0", reason="Unhealthy")},
        "unknown",
        BY_HAND,
        "open",
    ),
    "a node came back": ({"pods": pods(ready=3), "events": lost("p0")}, "unknown", BY_HAND, "open"),
    # what others don't give
    "a dependency is down under a young release that crash-loops": (
        {
            "deployment": state(YOUNG),
            "pods": pods("Error"),
            "around": Surroundings(dependencies={"payments": "unreachable"}),
        },
        "dependency",
        BY_HAND,
        "suspected",
    ),
    "the database is down, and pods crash-loop": (
        {"pods": pods("CrashLoopBackOff"), "around": Surroundings(database="primary doesn't answer")},
        "database",
        BY_HAND,
        "suspected",
    ),
    "the database has no connection left, and the service is saturated": (
        {"pods": pods(ready=3), "autoscaling": AT_ITS_MAXIMUM, "around": Surroundings(connections=0.9)},
        "connections",
        BY_HAND,
        "suspected",
    ),
    "the database has just enough connections left": (
        {"pods": pods("Error"), "around": Surroundings(connections=0.89)},
        "crashing",
        "restart",
        "proven",
    ),
    "the certificate is over": ({"pods": pods(ready=3), "health": EXPIRED}, "certificate", BY_HAND, "suspected"),
    "the certificate is over under a young release": (
        {"deployment": state(YOUNG), "pods": pods(ready=3), "health": EXPIRED},
        "certificate",
        BY_HAND,
        "suspected",
    ),
    "a dependency is down, and the service is healthy without it": (
        {"pods": pods(ready=3), "health": WELL, "around": Surroundings(dependencies={"mail": "unreachable"})},
        "well",
        BY_HAND,
        "proven",
    ),
    # what can't be seen
    "pods are going, and others have come": (
        {"pods": pods("Error", "Error", ready=2, terminating=2)},
        "unknown",
        BY_HAND,
        "open",
    ),
    "a pod that waits for a node is going": (
        {"pods": pods("Unschedulable", ready=3, phase="Pending", terminating=1)},
        "unknown",
        BY_HAND,
        "open",
    ),
    "the Deployment can't be read, and pods crash-loop": (
        {"deployment": None, "pods": pods("Error")},
        "crashing",
        BY_HAND,
        "suspected",
    ),
    "the Deployment can't be read, and its pods are well, or going": (
        {"deployment": None, "pods": pods("Error", ready=2, terminating=1)},
        "unknown",
        BY_HAND,
        "open",
    ),
    "nothing can be read": ({"pods": None, "deployment": None, "health": None}, "unknown", BY_HAND, "open"),
}


def diagnosed(given: dict[str, Any], tried: frozenset[str] = frozenset(), **fields: Any) -> Diagnosis:
    given = {"health": DOWN, "deployment": state(), **given}
    around = given.pop("around", None)
    return diagnose(Facts(**given), IncidentPolicy(), set(tried), NOW, around=around, **{**LIMITS, **fields})
