"""The choice between rollback, restart and scaling, over all facts that can be had."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from activities.autoscaling.states import Autoscaling
from activities.catalogue.service import IncidentPolicy
from activities.kubernetes.states import DeploymentState, Pods, Revision
from activities.monitoring.prometheus import Metrics
from activities.records.deployments import Deployment, Deployments
from tests.workflows.incident_response.diagnosed import DOWN, NOW, WELL, pods
from workflows.incident_response.diagnosis import Facts, diagnose
from workflows.shared.releases import Releases

POLICY = IncidentPolicy()


def deployment(age: timedelta, *tags: str, replicas: int = 3, paused: bool = False) -> DeploymentState:
    revisions = [
        Revision(number=n, images=[f"registry.example/tensafe-server:{tag}"], created_at=NOW, pod_template_hash=str(n))
        for n, tag in enumerate(tags, start=1)
    ]
    return DeploymentState(
        name="tensafe-server",
        namespace="tensafe",
        replicas=replicas,
        updated=replicas,
        ready=0,
        available=0,
        paused=paused,
        current_revision=len(tags),
        revisions=revisions,
        rolled_out_at=NOW - age,
    )


def choose(facts: Facts, tried: frozenset[str] = frozenset()) -> tuple[bool, str | None]:
    diagnosis = diagnose(facts, POLICY, set(tried), NOW)
    return diagnosis.clear, diagnosis.first.mitigation if diagnosis.first else None


def test_a_recent_rollout_with_failing_pods_is_rolled_back() -> None:
    facts = Facts(pods=pods("CrashLoopBackOff"), deployment=deployment(timedelta(minutes=5), "v1", "v2"), health=DOWN)
    assert choose(facts) == (True, "rollback")
    assert diagnose(facts, POLICY, set(), NOW).proposals[0].to_revision == 1


def test_an_old_rollout_is_restarted() -> None:
    facts = Facts(pods=pods("CrashLoopBackOff"), deployment=deployment(timedelta(days=2), "v1", "v2"), health=DOWN)
    assert choose(facts) == (True, "restart")


def test_saturation_is_scaled() -> None:
    facts = Facts(
        pods=pods(""),
        deployment=deployment(timedelta(days=2), "v1"),
        health=DOWN,
        autoscaling=Autoscaling(hpa_min=1, hpa_max=3, hpa_current=3, hpa_desired=3, scaled_object_paused=False),
    )
    assert choose(facts) == (True, "scale")


def test_failing_pods_of_a_recent_rollout_outweigh_saturation() -> None:
    facts = Facts(
        pods=Pods(items=[*pods("Error").items, *pods("", phase="Pending").items]),
        deployment=deployment(timedelta(minutes=5), "v1", "v2"),
        health=DOWN,
        metrics=Metrics(values={"saturation": 1}),
    )
    assert choose(facts) == (True, "rollback")


def test_nothing_wrong_to_see_is_not_clear() -> None:
    facts = Facts(pods=pods(""), deployment=deployment(timedelta(days=2), "v1", "v2"), health=DOWN)
    clear, _ = choose(facts)
    assert not clear


def test_a_known_bad_release_is_not_what_a_rollback_goes_to() -> None:
    bad = Deployment(version="v2", status="rolled_back", deployer="ci", started_at=NOW)
    target = Releases(deployment(timedelta(0), "v1", "v2", "v3"), Deployments(items=[bad])).last_good
    assert target is not None
    assert target.number == 1


def test_a_young_release_with_ready_pods_is_recommended_and_left_to_a_person() -> None:
    facts = Facts(pods=pods("", ""), deployment=deployment(timedelta(seconds=20), "v1", "v2"), health=DOWN)
    diagnosis = diagnose(facts, POLICY, set(), NOW)
    assert (diagnosis.clear, diagnosis.proposals[0].mitigation) == (False, "rollback")
    assert diagnosis.proposals[0].because[0] == "v2 was rolled out 20 s ago"


def test_an_old_release_with_ready_pods_is_not_suspected() -> None:
    facts = Facts(pods=pods("", ""), deployment=deployment(timedelta(days=2), "v1", "v2"), health=DOWN)
    assert not any(proposal.because for proposal in diagnose(facts, POLICY, set(), NOW).proposals)


def test_what_was_gone_back_to_is_no_new_release() -> None:
    # v1 → v2 → v1 a minute ago: v2 was left on purpose, and v1 is not young.
    facts = Facts(pods=pods("Error"), deployment=deployment(timedelta(minutes=1), "v1", "v2", "v1"), health=DOWN)
    assert choose(facts) == (False, "restart")
    assert "rollback" not in {p.mitigation for p in diagnose(facts, POLICY, set(), NOW).proposals}


def test_a_restart_makes_a_release_no_younger() -> None:
    state = deployment(timedelta(seconds=30), "v1", "v2", "v2")
    days = {1: 30, 2: 3, 3: 0}
    old = [one.model_copy(update={"created_at": NOW - timedelta(days=days[one.number])}) for one in state.revisions]
    facts = Facts(pods=pods("Error"), deployment=state.model_copy(update={"revisions": old}), health=DOWN)
    diagnosis = diagnose(facts, POLICY, set(), NOW)
    assert not diagnosis.clear, "its pods were replaced just now, so that another restart helps no better"
    assert not any(proposal.because for proposal in diagnosis.proposals)


def test_pods_of_the_release_before_do_not_fail_the_one_in_force() -> None:
    state = deployment(timedelta(minutes=1), "v1", "v2")
    for of, clear in (("1", False), ("2", True), ("", True)):
        failing = Pods(items=[pod.model_copy(update={"revision_hash": of}) for pod in pods("Error").items])
        assert diagnose(Facts(pods=failing, deployment=state, health=DOWN), POLICY, set(), NOW).clear is clear


def test_a_paused_deployment_is_not_rolled_back() -> None:
    facts = Facts(pods=pods("Error"), deployment=deployment(timedelta(minutes=5), "v1", "v2", paused=True), health=DOWN)
    assert "rollback" not in {p.mitigation for p in diagnose(facts, POLICY, set(), NOW).proposals}


facts_of_all_kinds = st.builds(
    Facts,
    pods=st.none()
    | st.lists(st.sampled_from(["", "CrashLoopBackOff", "ImagePullBackOff"]), max_size=4).map(
        lambda reasons: pods(*reasons)
    ),
    deployment=st.none()
    | st.builds(
        lambda minutes, tags, replicas, paused: deployment(
            timedelta(minutes=minutes), *tags, replicas=replicas, paused=paused
        ),
        st.integers(0, 10_000),
        st.lists(st.sampled_from(["v1", "v2", "v3"]), min_size=1, max_size=4),
        st.integers(0, 20),
        st.booleans(),
    ),
    health=st.sampled_from([None, DOWN, WELL]),
    autoscaling=st.none() | st.just(Autoscaling(hpa_min=1, hpa_max=3, hpa_current=3, hpa_desired=3)),
    metrics=st.none() | st.builds(lambda v: Metrics(values={"saturation": v}), st.none() | st.floats(0, 1)),
)


@given(facts_of_all_kinds, st.frozensets(st.sampled_from(["rollback", "restart", "scale"])))
def test_what_was_tried_is_never_proposed_and_nothing_is_clear_without_pods_and_deployment(
    facts: Facts, tried: frozenset[str]
) -> None:
    diagnosis = diagnose(facts, POLICY, set(tried), NOW)
    assert not tried & {p.mitigation for p in diagnosis.proposals}
    assert len({p.mitigation for p in diagnosis.proposals}) == len(diagnosis.proposals)
    if facts.pods is None or facts.deployment is None:
        assert not diagnosis.clear or diagnosis.proposals[0].mitigation == "scale"
    if diagnosis.clear:
        assert diagnosis.proposals[0].because
    for proposal in diagnosis.proposals:
        if proposal.mitigation == "rollback":
            assert facts.deployment is not None
            assert proposal.to_revision != facts.deployment.current_revision
        if proposal.mitigation == "scale":
            assert facts.deployment is not None
            assert (proposal.replicas or 0) > facts.deployment.replicas
