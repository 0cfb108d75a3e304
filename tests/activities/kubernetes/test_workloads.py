"""The Deployments of a namespace, on a real cluster."""

import pytest
from kubernetes import client

from activities.kubernetes.workloads import Workloads, WorkloadsRequest, WorkloadStates
from tests.activities.kubernetes.on_cluster import BAD, GOOD, OnCluster, eventually


@pytest.fixture(scope="module")
def workloads(cluster_api: client.ApiClient) -> Workloads:
    return Workloads(cluster_api)


def test_all_deployments_are_read_with_what_they_wait_for(workloads: Workloads, server: OnCluster) -> None:
    server.kubectl("create", "deployment", "gateway", "--image=registry.example/gateway:v1", "--replicas=2")
    server.kubectl("create", "deployment", "asleep", "--image=registry.example/asleep:v1", "--replicas=0")
    server.kubectl("rollout", "pause", "deployment/gateway")
    server.release(BAD)
    request = WorkloadsRequest(namespace=server.namespace)

    def failing() -> WorkloadStates | None:
        """One answer: a pod that crashes over and over is ready in between."""
        found = workloads.deployments(request)
        return found if [w.name for w in found.ailing] == ["tensafe-server"] else None

    found = eventually(failing)
    assert found.names == ["asleep", "gateway", "tensafe-server"]
    asleep, gateway, tensafe = found.items
    assert (asleep.replicas, asleep.ready, asleep.well, asleep.paused) == (0, 0, True, False)
    assert (gateway.replicas, gateway.ready, gateway.well, gateway.paused) == (2, 2, True, True)
    assert (tensafe.replicas, tensafe.images) == (3, [BAD])
    assert "2 of 3 deployments complete; not: tensafe-server" in str(found)
    server.release(GOOD)
    eventually(lambda: not workloads.deployments(request).ailing)


def test_a_namespace_without_any_has_none(workloads: Workloads) -> None:
    found = workloads.deployments(WorkloadsRequest(namespace="default"))
    assert (found.items, str(found)) == ([], "0 of 0 deployments complete")
