"""What a degraded service's facts point to: a table of situations, each with what is proposed."""

from datetime import timedelta
from typing import Any

import pytest

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import Service
from activities.kubernetes.states import DeploymentState, Revision
from activities.monitoring.prometheus import Metrics
from tests.workflows.incident_response.diagnosed import DOWN, NOW, WELL, pods
from workflows.incident_response.degraded import DegradedFacts, degraded
from workflows.incident_response.surroundings import Surroundings

SERVICE = Service(
    namespace="tensafe", deployment="tensafe-server", selector="app=tensafe", health_url="http://127.0.0.1:1/health"
)


def metrics(error_rate: float | None = 0.0, p95: float | None = 0.1, saturation: float | None = 0.2) -> Metrics:
    return Metrics(values={"error_rate": error_rate, "p95_latency": p95, "saturation": saturation})


def state(age: timedelta = timedelta(days=3), *, replicas: int = 3, stopped_by: str | None = None) -> DeploymentState:
    revisions = [
        Revision(number=n, images=[f"registry.example/app:v{n}"], created_at=NOW - age, pod_template_hash=str(n))
        for n in (1, 2)
    ]
    return DeploymentState(
        name="tensafe-server",
        namespace="default",
        replicas=replicas,
        updated=replicas,
        ready=replicas,
        available=replicas,
        paused=False,
        current_revision=2,
        revisions=revisions,
        rolled_out_at=NOW - age,
        stopped_by=stopped_by,
        stopped_until=NOW + timedelta(hours=1) if stopped_by else None,
    )


YOUNG = timedelta(minutes=5)
FULL: dict[str, Any] = {"hpa_min": 1, "hpa_max": 3, "hpa_current": 3, "hpa_desired": 3}
SITUATIONS: dict[str, tuple[dict[str, Any], str, str | None, bool]] = {
    "well again": ({"metrics": metrics()}, "well", None, False),
    "figures unread": ({"metrics": None}, "unknown", None, False),
    "no traffic, so no error rate": ({"metrics": metrics(error_rate=None)}, "unknown", None, False),
    "health unread": ({"metrics": metrics(), "health": None}, "unknown", None, False),
    "errors of nobody knows what": ({"metrics": metrics(0.2)}, "unknown", None, False),
    "exactly at the limits is well": ({"metrics": metrics(0.05, 2.0)}, "well", None, False),
    "slow": ({"metrics": metrics(p95=2.5)}, "latency", "scale", True),
    "slow, and nothing known of saturation": ({"metrics": metrics(p95=2.5, saturation=None)}, "latency", "scale", True),
    "saturated": ({"metrics": metrics(0.2, saturation=0.9)}, "saturated", "scale", True),
    "KEDA's HPA at its maximum": (
        {"metrics": metrics(p95=2.5), "autoscaling": Autoscaling(**FULL, scaled_object_paused=False)},
        "saturated",
        "scale",
        True,
    ),
    "an HPA at its maximum: it would take more pods away": (
        {"metrics": metrics(p95=2.5), "autoscaling": Autoscaling(**FULL)},
        "saturated",
        None,
        False,
    ),
    "saturated, and as many pods as settings allow": (
        {"metrics": metrics(0.2, saturation=0.9), "deployment": state(replicas=20)},
        "saturated",
        None,
        False,
    ),
    "a young release, its pods ready": (
        {"metrics": metrics(0.2), "deployment": state(YOUNG)},
        "recent_release",
        "rollback",
        False,
    ),
    "a young release, its pods failing": (
        {"metrics": metrics(0.2), "deployment": state(YOUNG), "pods": pods("CrashLoopBackOff", "", "")},
        "bad_release",
        "rollback",
        True,
    ),
    "a young release, and slow": (
        {"metrics": metrics(p95=2.5), "deployment": state(YOUNG)},
        "recent_release",
        "rollback",
        False,
    ),
    "a dependency down under a young release": (
        {
            "metrics": metrics(0.2),
            "deployment": state(YOUNG),
            "surroundings": Surroundings(dependencies={"payments": "unreachable"}),
        },
        "dependency",
        None,
        False,
    ),
    "the database doesn't answer": (
        {"metrics": metrics(p95=2.5), "surroundings": Surroundings(database="replica-1 doesn't answer")},
        "database",
        None,
        False,
    ),
    "no connections left: more pods would ask for more": (
        {"metrics": metrics(p95=2.5, saturation=0.95), "surroundings": Surroundings(connections=0.95)},
        "connections",
        None,
        False,
    ),
    "stopped on purpose": (
        {"metrics": metrics(1.0), "health": DOWN, "deployment": state(stopped_by="point-in-time-restore/x")},
        "stopped",
        None,
        False,
    ),
}


def brought_back(ago: timedelta) -> DeploymentState:
    return state().model_copy(update={"brought_back_by": "restore/x", "brought_back_at": NOW - ago})


SITUATIONS |= {
    "just brought back, and figures tell of the stop": (
        {"metrics": metrics(1.0, 10.0), "health": DOWN, "deployment": brought_back(timedelta(minutes=5))},
        "stopped",
        None,
        False,
    ),
    "brought back a while ago, and slow": (
        {"metrics": metrics(p95=2.5), "deployment": brought_back(timedelta(minutes=5, seconds=1))},
        "latency",
        "scale",
        True,
    ),
    "just brought back, and well": (
        {"metrics": metrics(), "deployment": brought_back(timedelta(minutes=1))},
        "well",
        None,
        False,
    ),
    "just brought back, and slow with pods that fail": (
        {
            "metrics": metrics(p95=2.5),
            "deployment": brought_back(timedelta(minutes=1)),
            "pods": pods("CrashLoopBackOff", "", ""),
        },
        "latency",
        "scale",
        True,
    ),
}


@pytest.mark.parametrize(("given", "reason", "first", "clear"), SITUATIONS.values(), ids=SITUATIONS)
def test_what_the_facts_point_to(given: dict[str, Any], reason: str, first: str | None, *, clear: bool) -> None:
    facts = DegradedFacts(**{"health": WELL, "pods": pods("", "", ""), "deployment": state(), **given})
    found = degraded(facts, SERVICE, set(), NOW)
    assert found.reason == reason
    assert (found.first.mitigation if found.first else None) == first
    assert found.clear == clear
    assert found.because


def test_what_was_tried_is_not_proposed_again() -> None:
    facts = DegradedFacts(health=WELL, pods=pods("", ""), deployment=state(), metrics=metrics(p95=2.5))
    found = degraded(facts, SERVICE, {"scale"}, NOW)
    assert [proposal.mitigation for proposal in found.proposals] == ["rollback"]
    assert not found.clear


def test_more_pods_than_the_hpa_keeps_are_none() -> None:
    given = {"health": WELL, "pods": pods("", ""), "deployment": state(), "metrics": metrics(p95=2.5)}
    for most, within, to in ((3, True, None), (4, True, 4), (5, True, 5), (9, True, 5), (3, False, 5)):
        facts = DegradedFacts(**given, autoscaling=Autoscaling(hpa_min=1, hpa_max=most, hpa_current=3, hpa_desired=1))
        found = degraded(facts, SERVICE, set(), NOW, within_the_hpa=within)
        scale = found.find("scale")
        assert (scale.replicas if scale else None) == to
        no_room = "no more pods: the HPA takes away what is above its maximum of 3; raise that first"
        assert (no_room in found.evidence) == (to is None)


def test_more_pods_are_an_absolute_number() -> None:
    facts = DegradedFacts(health=WELL, pods=pods("", ""), deployment=state(replicas=7), metrics=metrics(p95=2.5))
    found = degraded(facts, SERVICE, set(), NOW).first
    assert found is not None
    assert found.replicas == 9
