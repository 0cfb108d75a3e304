"""What the autoscalers of a Deployment say of themselves, and which one is held, on a real API server."""

import pytest

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.states import Autoscaling, AutoscalingRequest
from activities.common.errors import NotFound
from tests.activities.autoscaling.holding import UNTIL, hold, release
from tests.activities.autoscaling.scaled import HPA, SCALED_OBJECT, Scaled
from tests.activities.kubernetes.on_cluster import OnCluster, an_effect


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


def test_the_scaled_object_goes_before_the_hpa(autoscalers: Autoscalers, keda: Scaled, hpa: Scaled):
    both = hold(keda).model_copy(update={"hpa": HPA})
    assert autoscalers.hold(both).kind == "ScaledObject"
    assert hpa.value == 3
    autoscalers.release(release(keda))
    keda.delete()
    assert autoscalers.hold(both.model_copy(update={"effect": an_effect(), "lease": "other"})).name == HPA
    assert hpa.value == 8


def test_without_any_autoscaler_it_says_what_to_do(autoscalers: Autoscalers, keda: Scaled, hpa: Scaled):
    both = hold(keda).model_copy(update={"hpa": HPA})
    keda.delete()
    hpa.delete()
    with pytest.raises(NotFound) as caught:
        autoscalers.hold(both)
    assert str(caught.value.message) == (
        f"no autoscaler to hold in namespace {keda.server.namespace}: scaledobject/{SCALED_OBJECT} (not there), "
        f"hpa/{HPA} (not there). Correct scaled_object and hpa of the service in the settings; where it has none, "
        "scale with manual-scale-up"
    )
    with pytest.raises(NotFound, match="none is named"):
        autoscalers.hold(both.model_copy(update={"scaled_object": None, "hpa": None}))


def test_without_keda_the_hpa_is_held(autoscalers: Autoscalers, keda: Scaled, monkeypatch: pytest.MonkeyPatch):
    # A group that the API server doesn't have: the session's other tests need the one that it has.
    monkeypatch.setattr("activities.autoscaling.autoscalers.KEDA", ("keda.example", "v1alpha1"))
    with pytest.raises(NotFound, match=r"tensafe-scaledobject \(KEDA is not installed\)"):
        autoscalers.hold(hold(keda))
    assert autoscalers.hold(hold(keda).model_copy(update={"hpa": HPA})).kind == "HorizontalPodAutoscaler"


def test_an_hpa_that_keda_has_made_is_left_alone(autoscalers: Autoscalers, keda: Scaled, hpa: Scaled):
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": SCALED_OBJECT}
    hpa.patch({"metadata": {"ownerReferences": [{**owner, "uid": keda.raw["metadata"]["uid"], "controller": True}]}})
    with pytest.raises(NotFound, match="made by KEDA, name its ScaledObject"):
        autoscalers.hold(hold(hpa))
    assert hpa.value == 3


def test_the_read_tells_who_holds_it(autoscalers: Autoscalers, scaled: Scaled):
    where = AutoscalingRequest(namespace=scaled.server.namespace, hpa=HPA, scaled_object=SCALED_OBJECT)
    assert autoscalers.read(where).held_by is None
    autoscalers.hold(hold(scaled))
    state = autoscalers.read(where)
    assert (state.held_by, state.held_until) == ("p1", UNTIL)
    assert str(state).endswith(f", held by p1 until {UNTIL:%H:%M:%S} UTC")
    autoscalers.release(release(scaled))
    assert autoscalers.read(where).held_by is None
