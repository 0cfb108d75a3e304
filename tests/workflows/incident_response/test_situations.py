"""What the facts of a P1 point to: a table of situations, each with its reason, what is recommended, how sure it is."""

from typing import Any

import pytest

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import IncidentPolicy, Service
from activities.monitoring.health import Health
from activities.monitoring.prometheus import Metrics
from tests.workflows.incident_response.diagnosed import WELL
from tests.workflows.incident_response.situations import OLD, SITUATIONS, YOUNG, diagnosed, pods, state
from workflows.incident_response.diagnosis import Diagnosis
from workflows.incident_response.mitigation import BY_HAND, question


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
