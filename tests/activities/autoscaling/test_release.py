"""Releasing an autoscaler on a real API server, each effect happening once, beside people who do the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.objects import HOLD
from tests.activities.autoscaling.holding import EARLIER, SAID, hold, release, theirs
from tests.activities.autoscaling.scaled import PAUSED, PAUSED_REPLICAS, SCALED_OBJECT, Scaled


def test_release_again_after_a_lost_answer(autoscalers: Autoscalers, scaled: Scaled, lost: Any):
    autoscalers.hold(hold(scaled))
    request = release(scaled)
    lost(autoscalers.release, request)
    autoscalers.hold(hold(scaled, "next"))
    before = scaled.raw
    again = autoscalers.release(request)
    assert (again.resumed, again.applied, again.note) == (True, False, EARLIER)
    assert (again.after, again.before) == SAID[scaled.kind]
    assert scaled.raw == before


def test_release_again_says_as_well_that_it_was_not_resumed(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
    keda.annotate(PAUSED, None)
    request = release(keda)
    first = autoscalers.release(request)
    again = autoscalers.release(request)
    assert again == first.model_copy(update={"applied": False, "note": f"{first.note}; {EARLIER}"})
    assert not again.resumed


@pytest.mark.parametrize(("value", "who"), [(None, "somebody else"), ("false", "kubectl-annotate")])
def test_resumed_by_somebody_else(autoscalers: Autoscalers, keda: Scaled, value: str | None, who: str):
    autoscalers.hold(hold(keda))
    keda.annotate(PAUSED, value)
    released = autoscalers.release(release(keda))
    theirs(released, who)
    assert released.after == "active"
    assert (keda.value, keda.marker) == (value, None)


@pytest.mark.parametrize("first", [None, "false"])
def test_paused_anew_by_somebody_else_stays_paused(autoscalers: Autoscalers, keda: Scaled, first: str | None):
    autoscalers.hold(hold(keda))
    keda.annotate(PAUSED, first)
    keda.annotate(PAUSED, "true")
    released = autoscalers.release(release(keda))
    theirs(released, "kubectl-annotate")
    assert released.after == "paused"
    assert (keda.value, keda.marker) == ("true", None)


def test_paused_by_somebody_elses_manifest_stays_paused(autoscalers: Autoscalers, keda: Scaled, tmp_path: Path):
    autoscalers.hold(hold(keda))
    manifest = tmp_path / "manifest.yaml"
    spec = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "spec": keda.raw["spec"]}
    manifest.write_text(json.dumps({**spec, "metadata": {"name": SCALED_OBJECT, "annotations": {PAUSED: "true"}}}))
    keda.server.kubectl("apply", "--server-side", "--field-manager=gitops", f"--filename={manifest}")
    theirs(autoscalers.release(release(keda)), "gitops")
    assert (keda.value, keda.marker) == ("true", None)


def test_annotating_the_pause_that_there_is_changes_nothing(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
    keda.annotate(PAUSED, "true")
    assert autoscalers.release(release(keda)).resumed
    assert keda.value is None


def test_other_changes_are_no_reason_to_leave_it_paused(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
    keda.annotate("team", "sre")
    keda.patch({"spec": {"maxReplicaCount": 30}})
    keda.server.kube.put(keda.path, json=keda.raw).raise_for_status()
    assert autoscalers.release(release(keda)).resumed
    assert (keda.value, keda.annotations["team"], keda.raw["spec"]["maxReplicaCount"]) == (None, "sre", 30)


def test_pinned_by_somebody_else_meanwhile_stays_pinned(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
    keda.annotate(PAUSED_REPLICAS, "12")
    released = autoscalers.release(release(keda))
    assert (released.resumed, released.after) == (False, "paused at 12 replicas")
    assert released.note == "our pause is removed, but somebody else has paused it at that number"
    assert (keda.value, keda.marker, keda.annotations[PAUSED_REPLICAS]) == (None, None, "12")


@pytest.mark.parametrize("values", [(5,), (3,), (9, 8)])
def test_a_minimum_that_somebody_else_has_set_stays(autoscalers: Autoscalers, hpa: Scaled, values: tuple[int, ...]):
    autoscalers.hold(hold(hpa))
    for value in values:
        hpa.patch({"spec": {"minReplicas": value}})
    released = autoscalers.release(release(hpa))
    theirs(released, "kubectl-patch")
    assert (released.after, hpa.value, hpa.marker) == (f"minReplicas {values[-1]}", values[-1], None)


def test_a_minimum_that_was_not_raised_and_is_lowered_meanwhile_stays(autoscalers: Autoscalers, hpa: Scaled):
    autoscalers.hold(hold(hpa, floor=2))
    hpa.patch({"spec": {"minReplicas": 1}})
    theirs(autoscalers.release(release(hpa)), "kubectl-patch")
    assert (hpa.value, hpa.marker) == (1, None)


def test_an_autoscaler_without_the_mark_is_left_as_it_is(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
    keda.annotate(HOLD, None)
    released = autoscalers.release(release(keda))
    assert (released.resumed, released.after) == (False, "paused")
    assert released.note == "has no mark of this run's hold, and is left as it is"
    assert keda.value == "true"


def test_an_autoscaler_that_is_gone_is_fine(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(hold(scaled))
    scaled.delete()
    released = autoscalers.release(release(scaled))
    assert (released.resumed, released.applied, released.after) == (False, False, "gone")
    assert str(released).endswith(f"/{scaled.name}: gone (somebody has deleted it)")
