"""Isolating pods and nodes on a real API server, whose controllers replace what is taken from them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from kubernetes import client

from activities.common.effects import Effect, is_effect
from activities.common.errors import NotFound, Refused
from activities.kubernetes.isolation import (
    ISOLATED,
    CordonNode,
    IsolatePods,
    Isolation,
    LiftIsolation,
    UncordonNode,
)
from activities.kubernetes.suspects import QUARANTINE
from tests.activities.kubernetes.on_cluster import an_effect, eventually
from tests.activities.kubernetes.suspicious import LABELS, MERGE, Suspicious

INCIDENT = "SEC-20260204-030000-abcdef"


@pytest.fixture(scope="module")
def isolation(cluster_api: client.ApiClient) -> Isolation:
    return Isolation(cluster_api)


@pytest.fixture
def place(kube: httpx.Client, tensafe: str) -> Iterator[Suspicious]:
    place = Suspicious(kube, tensafe)
    try:
        yield place.create()
    finally:
        place.remove()


def of(run: str, *, dry_run: bool = False) -> Effect:
    return an_effect(dry_run=dry_run).model_copy(update={"workflow_id": run})


def isolate(place: Suspicious, isolation: Isolation, *, dry_run: bool = False) -> IsolatePods:
    seen = isolation.look(place.look())
    return IsolatePods(
        incident_id=INCIDENT, namespace=place.namespace, pods=seen.suspected, effect=an_effect(dry_run=dry_run)
    )


def test_what_a_drain_meets_is_told_before(isolation: Isolation, place: Suspicious) -> None:
    seen = isolation.look(place.look())
    assert sorted(pod.ref.name for pod in seen.of("needs force")) == ["bare", "scratch"]
    assert [pod.ref.name for pod in seen.of("mirror")] == ["static"]
    assert [pod.controller for pod in seen.of("daemon set")] == ["DaemonSet/agent"]
    assert sorted(ref.name for ref in seen.suspected) == sorted(place.suspects())
    (scratch,) = [pod for pod in seen.pods if pod.ref.name == "scratch"]
    assert "emptyDir scratch" in str(scratch)


def test_what_is_not_there_or_not_the_services_is_refused(isolation: Isolation, place: Suspicious) -> None:
    with pytest.raises(NotFound):
        isolation.look(place.look(nodes=["no-such-node"]))
    with pytest.raises(Refused, match="not one of the service"):
        isolation.look(place.look(pods=["bare"]))


def test_a_suspected_pod_is_alone_and_replaced(isolation: Isolation, place: Suspicious) -> None:
    assert is_effect(isolation.isolate)
    eventually(lambda: place.addresses() == 2)
    request = isolate(place, isolation)
    first = isolation.isolate(request)
    assert (len(first.isolated), first.applied, first.told) == (2, True, [])
    for pod in request.pods:
        raw = place.read(pod.name)
        assert raw["metadata"]["uid"] == pod.uid
        labels = raw["metadata"]["labels"]
        assert labels[QUARANTINE] == INCIDENT
        assert "app" not in labels
        assert json.loads(raw["metadata"]["annotations"][ISOLATED])["labels"] == LABELS
    policy = place.kube.get(
        f"/apis/networking.k8s.io/v1/namespaces/{place.namespace}/networkpolicies/quarantine-{INCIDENT.lower()}"
    ).json()
    assert policy["spec"] == {
        "podSelector": {"matchLabels": {QUARANTINE: INCIDENT}},
        "policyTypes": ["Ingress", "Egress"],
    }
    ours = {pod.name for pod in request.pods}
    path = f"/api/v1/namespaces/{place.namespace}/pods"
    found = eventually(
        lambda: [
            pod
            for pod in place.kube.get(path, params={"labelSelector": "app=suspect"}).json()["items"]
            if pod["status"].get("phase") == "Running"
        ][1:]
    )
    assert not ours & {pod["metadata"]["name"] for pod in found}
    again = isolation.isolate(request)
    assert (len(again.isolated), again.applied) == (2, False)
    # Without their controller they are no bare pods: it has replaced them.
    eventually(lambda: not place.read(request.pods[0].name)["metadata"].get("ownerReferences"))
    seen = isolation.look(place.look(incident_id=INCIDENT))
    assert {pod.ref.name for pod in seen.of("moves") if pod.suspect} == ours


def test_a_policy_that_lets_through_is_told(isolation: Isolation, place: Suspicious) -> None:
    body = {"metadata": {"name": "everybody"}, "spec": {"podSelector": {}, "egress": [{}], "policyTypes": ["Egress"]}}
    place._post(f"/apis/networking.k8s.io/v1/namespaces/{place.namespace}/networkpolicies", body)
    assert "everybody" in isolation.isolate(isolate(place, isolation)).told[0]


def test_another_pod_of_that_name_is_left_alone(isolation: Isolation, place: Suspicious) -> None:
    request = isolate(place, isolation)
    other = request.pods[0].model_copy(update={"uid": "other"})
    change = isolation.isolate(request.model_copy(update={"pods": [other]}))
    assert change.isolated == []
    assert QUARANTINE not in place.read(other.name)["metadata"]["labels"]


def test_the_policy_stays_while_a_pod_needs_it(isolation: Isolation, place: Suspicious) -> None:
    request = isolate(place, isolation)
    isolation.isolate(request)
    lift = LiftIsolation(incident_id=INCIDENT, namespace=place.namespace, effect=an_effect())
    assert isolation.lift(lift).after == "kept"
    for pod in request.pods:
        place.kube.delete(f"/api/v1/namespaces/{place.namespace}/pods/{pod.name}", params={"gracePeriodSeconds": 0})
    eventually(lambda: isolation.lift(lift).after == "removed")
    assert isolation.lift(lift).after == "not there"


def test_a_plan_changes_nothing(isolation: Isolation, place: Suspicious) -> None:
    request = isolate(place, isolation, dry_run=True)
    assert not isolation.isolate(request).applied
    cordon = CordonNode(node=place.name, at=datetime.now(UTC), effect=of("a", dry_run=True))
    assert not isolation.cordon(cordon).applied
    assert "unschedulable" not in place.node()["spec"]
    assert len(place.suspects()) == 2
    path = f"/apis/networking.k8s.io/v1/namespaces/{place.namespace}/networkpolicies"
    assert place.kube.get(path).json()["items"] == []


def test_a_cordon_holds_until_the_last_run_lets_go(isolation: Isolation, place: Suspicious) -> None:
    now = datetime.now(UTC)
    for run in ("a", "b", "a"):
        isolation.cordon(CordonNode(node=place.name, at=now, effect=of(run)))
    assert place.node()["spec"]["unschedulable"]
    (node,) = isolation.look(place.look()).nodes
    assert sorted(node.held_by) == ["a", "b"]
    kept = isolation.uncordon(UncordonNode(node=place.name, effect=of("a")))
    assert (kept.after, kept.note) == ("cordoned", "still held by b")
    gone = isolation.uncordon(UncordonNode(node=place.name, effect=of("b")))
    assert (gone.after, gone.applied) == ("schedulable", True)
    assert "unschedulable" not in place.node()["spec"]
    assert isolation.uncordon(UncordonNode(node=place.name, effect=of("b"))).applied is False


def test_what_a_person_has_cordoned_stays_so(isolation: Isolation, place: Suspicious) -> None:
    body = json.dumps({"spec": {"unschedulable": True}})
    place.kube.patch(f"/api/v1/nodes/{place.name}", headers=MERGE, content=body).raise_for_status()
    for run in ("a", "b"):
        isolation.cordon(CordonNode(node=place.name, at=datetime.now(UTC), effect=of(run)))
    for run in ("a", "b"):
        assert isolation.uncordon(UncordonNode(node=place.name, effect=of(run))).after == "cordoned"
    assert place.node()["spec"]["unschedulable"]
