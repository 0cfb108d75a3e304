"""Which mitigation of 2.2 is recommended, and what people are asked."""

import pytest

from activities.catalogue.service import IncidentPolicy, Service
from tests.workflows.incident_response.situations import AT_ITS_MAXIMUM, SITUATIONS, YOUNG, diagnosed, pods, state
from workflows.incident_response.mitigation import BY_HAND, question


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
