"""What the autoscalers of a Deployment say of themselves, on a real API server."""

import pytest

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.states import Autoscaling, AutoscalingRequest
from tests.activities.kubernetes.on_cluster import OnCluster


def test_autoscaling(autoscalers: Autoscalers, server: OnCluster):
    request = AutoscalingRequest(namespace=server.namespace, hpa="tensafe-server", scaled_object="tensafe-scaledobject")
    path = f"/apis/autoscaling/v2/namespaces/{server.namespace}/horizontalpodautoscalers/tensafe-server/status"
    status = {"currentReplicas": 20, "desiredReplicas": 20, "conditions": []}
    merge = {"Content-Type": "application/merge-patch+json"}
    server.kube.request("PATCH", path, headers=merge, json={"status": status}).raise_for_status()
    state = autoscalers.read(request)
    assert state == Autoscaling(hpa_min=3, hpa_max=20, hpa_current=20, hpa_desired=20, scaled_object_paused=False)
    assert state.at_maximum


@pytest.mark.parametrize(
    ("annotation", "value", "paused"),
    [("paused", "true", True), ("paused", "false", False), ("paused", "", True), ("paused-replicas", "3", True)],
)
def test_paused_as_keda_reads_it(
    autoscalers: Autoscalers, server: OnCluster, annotation: str, value: str, *, paused: bool
):
    path = f"/apis/keda.sh/v1alpha1/namespaces/{server.namespace}/scaledobjects/tensafe-scaledobject"
    server.kube.patch(
        path,
        headers={"Content-Type": "application/merge-patch+json"},
        json={"metadata": {"annotations": {f"autoscaling.keda.sh/{annotation}": value}}},
    ).raise_for_status()
    request = AutoscalingRequest(namespace=server.namespace, scaled_object="tensafe-scaledobject")
    assert autoscalers.read(request) == Autoscaling(scaled_object_paused=paused)


def test_no_autoscalers_is_no_error(autoscalers: Autoscalers, server: OnCluster):
    nothing = AutoscalingRequest(namespace=server.namespace, hpa="none", scaled_object="none")
    assert autoscalers.read(nothing) == Autoscaling()
