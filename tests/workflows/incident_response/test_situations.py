"""What the facts of a P1 point to: a table of situations, each with its reason, what is recommended, how sure it is."""

from datetime import timedelta
from typing import Any

import pytest

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import IncidentPolicy, Service
from activities.kubernetes.states import DeploymentState, Event, Events, Pod, Pods, Revision
from activities.monitoring.health import Health
from activities.monitoring.prometheus import Metrics
from activities.records.deployments import Deployment, Deployments
from tests.workflows.incident_response.test_diagnosis import DOWN, NOW, WELL
from workflows.incident_response.diagnosis import Diagnosis, Facts, diagnose
from workflows.incident_response.mitigation import BY_HAND, question
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


@pytest.mark.parametrize(("given", "reason", "recommended", "certainty"), SITUATIONS.values(), ids=SITUATIONS)
def test_what_the_facts_point_to(given: dict[str, Any], reason: str, recommended: str, certainty: str) -> None:
    found = diagnosed(given)
    service = Service(namespace="app", deployment="app", selector="app=x", health_url="http://127.0.0.1:1/health")
    asked = question(1, found, service, allowed=True)
    assert (found.reason, asked.recommended, found.certainty) == (reason, recommended, certainty)
    assert found.clear == (certainty == "proven" and reason != "well")
    assert bool(found.because) == (certainty != "open")
    assert asked.evidence[0] == f"it points to {reason.replace('_', ' ')} ({certainty})"
    if found.first is not None and recommended != BY_HAND:
        assert found.first.because


def test_every_reason_is_in_the_table() -> None:
    known = Diagnosis.model_fields["reason"].annotation.__args__  # type: ignore[union-attr]
    assert {reason for _, reason, _, _ in SITUATIONS.values()} == set(known)


@pytest.mark.parametrize(
    ("most", "paused", "replicas", "to"),
    [
        (None, None, 3, 10),
        (20, None, 3, 10),
        (10, None, 3, 10),
        (4, None, 3, 4),
        (4, None, 0, 4),
        (3, None, 3, None),
        (2, None, 3, None),
        (3, False, 3, 10),
        (3, True, 3, 10),
    ],
)
def test_more_pods_than_the_hpa_keeps_are_none(
    most: int | None, replicas: int, to: int | None, *, paused: bool | None
) -> None:
    scaling = Autoscaling(hpa_max=most, hpa_desired=most, scaled_object_paused=paused)
    given = {"pods": pods(ready=3), "autoscaling": scaling, "deployment": state(replicas=replicas)}
    found = diagnosed(given)
    scale = found.find("scale")
    assert (scale.replicas if scale else None) == to
    told = [line for line in found.evidence if line.startswith("no more pods")]
    assert told == [f"no more pods: the HPA takes away what is above its maximum of {most}; raise that first"] * (
        to is None
    )
    before = diagnosed(given, within_the_hpa=False).find("scale")
    assert before is not None
    assert before.replicas == 10, "runs from before"


ERRORS = "error rate 44.00 %, above 5.00 %, and 0.10 % at most before it"


@pytest.mark.parametrize(
    ("given", "suspected"),
    [
        ({"deployment": state(YOUNG)}, True),
        ({"deployment": state(YOUNG), "metrics": Metrics(values={"saturation": 0.97})}, True),
        ({"deployment": state(OLD)}, False),
        ({"deployment": state(YOUNG, "v1")}, False),  # nothing to go back to
        ({"deployment": state(YOUNG, replicas=0, scaled_to_none=True), "pods": pods()}, False),
    ],
)
def test_errors_since_a_release_are_asked_about_though_the_service_says_it_is_healthy(
    given: dict[str, Any], *, suspected: bool
) -> None:
    found = diagnosed({"pods": pods(ready=3), "health": WELL, **given}, errors=ERRORS)
    assert (found.healthy, found.says_healthy, found.down) == (not suspected, True, False)
    assert found.reason == ("recent_release" if suspected else "well")
    if suspected:
        back = found.find("rollback")
        assert back is not None
        assert back.because == [
            "v2 was rolled out 5 min ago",
            ERRORS,
            "the service says it is healthy all the same",
        ]
        assert not found.clear, "never unasked"
        policy = IncidentPolicy(safe_default="rollback")
        service = Service(
            namespace="app", deployment="app", selector="app=x", health_url="http://127.0.0.1:1/health", incident=policy
        )
        assert question(1, found, service, allowed=True).default == BY_HAND, "nor by nobody's answer"


@pytest.mark.parametrize("reason", ["dependency", "database", "connections", "certificate"])
def test_what_others_dont_give_is_mended_elsewhere_and_no_default_acts(reason: str) -> None:
    found = diagnosed(next(given for given, name, _, _ in SITUATIONS.values() if name == reason))
    policy = IncidentPolicy(safe_default="restart")
    service = Service(
        namespace="app", deployment="app", selector="app=x", health_url="http://127.0.0.1:1/health", incident=policy
    )
    asked = question(1, found, service, allowed=True)
    assert found.not_ours
    assert (asked.recommended, asked.default) == (BY_HAND, BY_HAND)
    assert f"what mends it: {found.mended_by}" in asked.evidence
    assert found.mended_by
    assert "restart" in asked.options, "a person can still choose it"


def test_elsewhere_the_default_of_the_settings_counts() -> None:
    found = diagnosed({"pods": pods(ready=3)})
    policy = IncidentPolicy(safe_default="restart")
    service = Service(
        namespace="app", deployment="app", selector="app=x", health_url="http://127.0.0.1:1/health", incident=policy
    )
    assert question(1, found, service, allowed=True).default == "restart"
    assert question(1, found, service, allowed=False).default == BY_HAND


def test_two_plain_choices_are_asked_about() -> None:
    """A crash loop is over, but what would be restarted is saturated as well: nothing says which comes first."""
    first = diagnosed({"pods": pods("CrashLoopBackOff"), "autoscaling": AT_ITS_MAXIMUM})
    assert (first.clear, first.first and first.first.mitigation) == (True, "restart")
    then = diagnosed({"pods": pods("CrashLoopBackOff"), "autoscaling": AT_ITS_MAXIMUM}, frozenset({"restart"}))
    assert not then.clear


def test_a_young_release_that_is_saturated_can_be_gone_back_from_too() -> None:
    found = diagnosed({"deployment": state(YOUNG), "pods": pods(ready=3), "autoscaling": AT_ITS_MAXIMUM})
    back = found.find("rollback")
    assert back is not None
    assert back.because == ["v2 was rolled out 5 min ago", *found.because]
    plain = diagnosed({"deployment": state(YOUNG), "pods": pods("Error")}).find("rollback")
    assert plain is not None
    assert plain.because[0] == "v2 was rolled out 5 min ago"
    assert len(plain.because) == 3


@pytest.mark.parametrize(
    ("health", "says"), [(WELL, "the service is healthy all the same"), (None, "health could not be read")]
)
def test_what_is_known_of_the_service_beside_a_failing_release_is_said(health: Health | None, says: str) -> None:
    found = diagnosed({"deployment": state(YOUNG), "pods": pods("Error", ready=2), "health": health})
    assert (found.reason, found.because[-1]) == ("recent_release", says)


def test_runs_from_before_are_judged_as_they_were() -> None:
    pending = {"pods": pods("Unschedulable", phase="Pending", ready=1)}
    gone = {"pods": pods("CreateContainerConfigError")}
    for given, mitigation in ((pending, "scale"), (gone, "restart")):
        found = diagnosed(given, as_before=True)
        assert (found.clear, found.first and found.first.mitigation) == (True, mitigation)
        assert not diagnosed(given).clear


def test_a_person_chooses_by_name_and_sees_what_could_be_read() -> None:
    found = diagnosed({"pods": pods("CrashLoopBackOff"), "metrics": None})
    for mitigation in ("rollback", "restart", "scale"):
        chosen = found.find(mitigation)
        assert chosen is not None
        assert chosen.mitigation == mitigation
    assert found.find(BY_HAND) is None
    assert "metrics: could not be read" in found.evidence
    assert "pods: 0 of 1 ready, 1 failing, 0 pending" in found.evidence
    assert not any("rolled out" in line for line in found.evidence)
    young = diagnosed({"deployment": state(YOUNG), "pods": pods("Error")})
    assert young.evidence[-1] == "v2 was rolled out 5 min ago"
