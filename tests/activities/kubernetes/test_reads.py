"""Reads of a real API server."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from activities.common.errors import NotFound
from activities.kubernetes.cluster import EventsRequest, Kubernetes, PodsRequest, UndoRollout, Workload
from tests.activities.kubernetes.on_cluster import BAD, GOOD, OnCluster, an_effect, eventually


def _pods(server: OnCluster) -> PodsRequest:
    return PodsRequest(namespace=server.namespace, selector="app=tensafe")


def test_healthy_pods(kubernetes: Kubernetes, server: OnCluster):
    pods = kubernetes.pods(_pods(server))
    assert str(pods) == "3 of 3 ready, 0 failing, 0 pending"
    hashes = {rs["metadata"]["labels"]["pod-template-hash"] for rs in server.revisions.values()}
    for pod in pods.items:
        assert (pod.phase, pod.image, pod.reason, pod.restarts) == ("Running", GOOD, "", 0)
        assert pod.revision_hash in hashes
        assert pod.node
        assert timedelta(0) <= datetime.now(UTC) - pod.created_at < timedelta(minutes=10)


def test_crashing_pods_are_failing(kubernetes: Kubernetes, server: OnCluster):
    server.release(BAD)
    server.down()
    pods = kubernetes.pods(_pods(server))
    assert str(pods) == "0 of 3 ready, 3 failing, 0 pending"
    assert {(pod.reason, pod.image, pod.ready) for pod in pods.items} == {("CrashLoopBackOff", BAD, False)}
    assert all(pod.restarts >= 1 for pod in pods.items)


def test_pods_without_a_node_are_pending(kubernetes: Kubernetes, server: OnCluster):
    server.patch({"spec": {"template": {"spec": {"nodeSelector": {"gpu": "yes"}}}}})
    # Pending comes first; the scheduler says why a moment later.
    eventually(lambda: [p.reason for p in kubernetes.pods(_pods(server)).items if not p.ready] == ["Unschedulable"] * 3)
    assert str(kubernetes.pods(_pods(server))).endswith("3 pending")


def test_no_pods_of_a_selector(kubernetes: Kubernetes, server: OnCluster):
    assert kubernetes.pods(PodsRequest(namespace=server.namespace, selector="app=other")).items == []


def test_events_newest_last(kubernetes: Kubernetes, server: OnCluster):
    server.release(BAD)
    request = EventsRequest(namespace=server.namespace, limit=200)
    server.down()
    events = eventually(lambda: (e := kubernetes.events(request)) and e.items[-1].reason == "BackOff" and e).items
    times = [event.at for event in events if event.at]
    assert times == sorted(times)
    assert len(times) == len(events)
    assert events[-1].object.startswith("pod/tensafe-server-")
    scaled = next(event for event in events if event.reason == "ScalingReplicaSet")
    assert (scaled.object, scaled.type) == ("deployment/tensafe-server", "Normal")
    # More may have happened since.
    last_two = [
        event.at for event in kubernetes.events(EventsRequest(namespace=server.namespace, limit=2)).items if event.at
    ]
    assert len(last_two) == 2
    assert times[-2] <= last_two[0] <= last_two[1]


def test_events_of_the_newer_kind_have_their_time_and_count(kubernetes: Kubernetes, server: OnCluster):
    about = {"kind": "Deployment", "namespace": server.namespace, "name": "x", "apiVersion": "apps/v1"}
    at = "2031-01-02T03:04:05.000000Z"
    server.kube.post(
        f"/apis/events.k8s.io/v1/namespaces/{server.namespace}/events",
        json={
            "metadata": {"name": "x.1", "namespace": server.namespace},
            "eventTime": "2030-01-02T03:04:05.000000Z",
            "series": {"count": 7, "lastObservedTime": at},
            "reportingController": "test",
            "reportingInstance": "test",
            "action": "Testing",
            "reason": "Tested",
            "regarding": about,
            "note": "a note",
            "type": "Warning",
        },
    ).raise_for_status()
    event = kubernetes.events(EventsRequest(namespace=server.namespace)).items[-1]
    assert (event.at, event.count) == (datetime.fromisoformat(at), 7)
    assert (event.object, event.reason, event.message, event.type) == ("deployment/x", "Tested", "a note", "Warning")


def test_events_of_several_pages(kubernetes: Kubernetes, server: OnCluster, monkeypatch: pytest.MonkeyPatch):
    everything = kubernetes.events(EventsRequest(namespace=server.namespace, limit=200)).items
    assert len(everything) > 3
    monkeypatch.setattr("activities.kubernetes.api._PAGE", 2)
    assert len(kubernetes.events(EventsRequest(namespace=server.namespace, limit=200)).items) >= len(everything)


def test_history_and_state(kubernetes: Kubernetes, server: OnCluster):
    assert server.release(BAD, "release v1.2.4 by carol") == 2
    state = kubernetes.deployment(server.workload)
    assert [(r.number, r.images, r.change_cause) for r in state.revisions] == [
        (1, [GOOD], "release v1.2.3"),
        (2, [BAD], "release v1.2.4 by carol"),
    ]
    assert (state.current_revision, state.replicas, state.paused) == (2, 3, False)
    assert state.current is not None
    assert state.rolled_out_at == state.current.created_at
    assert f"since {state.rolled_out_at:%F %T} UTC" in str(state)
    listed = server.kubectl("rollout", "history", f"deployment/{server.name}")
    assert [int(line.split()[0]) for line in listed.splitlines()[2:] if line] == [r.number for r in state.revisions]


def test_what_somebody_has_scaled_to_nothing_is_seen(kubernetes: Kubernetes, server: OnCluster):
    assert not kubernetes.deployment(server.workload).scaled_to_none
    server.patch({"spec": {"replicas": 0}})
    assert kubernetes.deployment(server.workload).scaled_to_none


def test_rolled_out_when_rolled_back_not_when_created(kubernetes: Kubernetes, server: OnCluster):
    server.release(BAD)
    time.sleep(2.1)  # the API's times are whole seconds
    before = datetime.now(UTC).replace(microsecond=0)
    kubernetes.undo_rollout(UndoRollout(**server.target, to_revision=1, effect=an_effect()))
    eventually(lambda: kubernetes.deployment(server.workload).current_revision == 3)
    server.settled()
    after = datetime.now(UTC)
    state = kubernetes.deployment(server.workload)
    assert before <= state.rolled_out_at <= after
    assert state.current is not None
    assert state.current.created_at < before

    # Neither scaling nor a note of somebody's is a rollout.
    time.sleep(2.1)
    server.patch({"spec": {"replicas": 4}, "metadata": {"annotations": {"note": "x"}}})
    server.settled()
    assert kubernetes.deployment(server.workload).rolled_out_at == state.rolled_out_at


def test_rolled_out_when_rolled_back_by_kubectl(kubernetes: Kubernetes, server: OnCluster):
    server.release(BAD)
    time.sleep(2.1)
    before = datetime.now(UTC).replace(microsecond=0)
    server.kubectl("rollout", "undo", f"deployment/{server.name}")
    eventually(lambda: kubernetes.deployment(server.workload).current_revision == 3)
    assert before <= kubernetes.deployment(server.workload).rolled_out_at <= datetime.now(UTC)


def test_no_such_deployment(kubernetes: Kubernetes, server: OnCluster):
    with pytest.raises(NotFound, match=r'deployments\.apps "other" not found'):
        kubernetes.deployment(Workload(namespace=server.namespace, deployment="other"))
