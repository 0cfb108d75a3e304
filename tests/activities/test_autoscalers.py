"""Holding and releasing autoscalers on a real API server, each effect happening once, beside people who do the same."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from activities.autoscalers import Autoscalers, Hold, HoldAutoscaler, Release
from activities.effect_notes import EFFECTS
from activities.effects import is_effect
from activities.errors import Conflict, NotFound, Refused, Unavailable
from activities.holds import HOLD, Marker
from activities.kubernetes import AutoscalingRequest, Kubernetes
from tests.activities.on_cluster import OnCluster, an_effect
from tests.activities.scaled import HPA, PAUSED, PAUSED_REPLICAS, SCALED_OBJECT, Scaled

EARLIER = "done by an earlier attempt"
UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)


@pytest.fixture(scope="module")
def autoscalers(cluster_api: client.ApiClient) -> Autoscalers:
    return Autoscalers(cluster_api)


@pytest.fixture
def keda(server: OnCluster) -> Scaled:
    return Scaled(server, "ScaledObject")


@pytest.fixture
def hpa(server: OnCluster) -> Scaled:
    return Scaled(server, "HorizontalPodAutoscaler")


@pytest.fixture(params=["ScaledObject", "HorizontalPodAutoscaler"])
def scaled(request: pytest.FixtureRequest, server: OnCluster) -> Scaled:
    """Each of the two."""
    return Scaled(server, request.param)


FREE = {"ScaledObject": None, "HorizontalPodAutoscaler": 3}
HELD = {"ScaledObject": "true", "HorizontalPodAutoscaler": 8}
SAID = {"ScaledObject": ("active", "paused"), "HorizontalPodAutoscaler": ("minReplicas 3", "minReplicas 8")}


def _hold(scaled: Scaled, lease: str = "lease", **options: Any) -> HoldAutoscaler:
    return scaled.hold(lease, options.pop("until", UNTIL), options.pop("effect", an_effect()), **options)


def _release(scaled: Scaled, lease: str = "lease", **options: Any) -> Any:
    return scaled.release(lease, an_effect(**options))


def _terminated(scaled: Scaled, ago: timedelta, **changes: Any) -> None:
    """Rewrite the mark to one of another run that should have released it some time ago."""
    assert scaled.marker is not None
    gone = {"lease": "theirs", "workflow_id": "scale/other", "until": datetime.now(UTC) - ago, **changes}
    scaled.server.kube.patch(
        scaled.path,
        params={"fieldManager": "durable-runbooks"},
        headers={"Content-Type": "application/merge-patch+json"},
        json={"metadata": {"annotations": {HOLD: scaled.marker.model_copy(update=gone).model_dump_json()}}},
    ).raise_for_status()


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Do something between our read and our patch, the first few times; counts the patches."""
    genuine, patches = Autoscalers._patch, []

    def install(meanwhile: Callable[[], object], times: int = 1) -> list[int]:
        def patch(self: Autoscalers, *args: Any, **options: Any) -> None:
            patches.append(1)
            if len(patches) <= times:
                meanwhile()
            genuine(self, *args, **options)

        monkeypatch.setattr(Autoscalers, "_patch", patch)
        return patches

    return install


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Any], Any], Any], None]:
    """Let an activity do its work, and lose its answer."""
    genuine = Autoscalers._patch

    def applied_but_not_heard(self: Autoscalers, *args: Any, **options: Any) -> None:
        genuine(self, *args, **options)
        raise Unavailable("the connection broke")

    def run(method: Callable[[Any], Any], request: Any) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Autoscalers, "_patch", applied_but_not_heard)
            with pytest.raises(Unavailable):
                method(request)

    return run


def _together(*calls: Callable[[], Any]) -> list[Any]:
    """Call all at the same moment; gives answers and errors."""
    outcomes: list[Any] = []
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> None:
        start.wait()
        try:
            outcomes.append(call())
        except (Refused, Conflict) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_all_changes_are_marked_as_effects():
    assert [name for name in vars(Autoscalers) if is_effect(getattr(Autoscalers, name))] == ["hold", "renew", "release"]


# -- hold -------------------------------------------------------------------------------------------------


def test_hold_and_release(autoscalers: Autoscalers, scaled: Scaled):
    before, after = SAID[scaled.kind]
    request = _hold(scaled)
    held = autoscalers.hold(request)
    noun = "scaledobject" if scaled.kind == "ScaledObject" else "hpa"
    assert held == Hold(
        target=f"{noun}/{scaled.name}", before=before, after=after, applied=True,
        kind=scaled.kind, name=scaled.name, ours=True,
    )  # fmt: skip
    assert scaled.value == HELD[scaled.kind]
    marker = scaled.marker
    assert marker is not None
    assert (marker.lease, marker.until, marker.workflow_id, marker.by) == ("lease", UNTIL, "p1", "a@b.c")
    assert request.effect.key in scaled.annotations[EFFECTS]
    released = autoscalers.release(_release(scaled))
    assert (released.resumed, released.applied, released.before, released.after) == (True, True, after, before)
    assert released.note == ""
    assert scaled.value == FREE[scaled.kind]
    assert HOLD not in scaled.annotations


def test_the_scaled_object_goes_before_the_hpa(autoscalers: Autoscalers, keda: Scaled, hpa: Scaled):
    both = _hold(keda).model_copy(update={"hpa": HPA})
    assert autoscalers.hold(both).kind == "ScaledObject"
    assert hpa.value == 3
    autoscalers.release(_release(keda))
    keda.delete()
    assert autoscalers.hold(both.model_copy(update={"effect": an_effect(), "lease": "other"})).name == HPA
    assert hpa.value == 8


def test_without_any_autoscaler_it_says_what_to_do(autoscalers: Autoscalers, keda: Scaled, hpa: Scaled):
    both = _hold(keda).model_copy(update={"hpa": HPA})
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
    monkeypatch.setattr("activities.autoscalers.KEDA", ("keda.example", "v1alpha1"))
    with pytest.raises(NotFound, match=r"tensafe-scaledobject \(KEDA is not installed\)"):
        autoscalers.hold(_hold(keda))
    assert autoscalers.hold(_hold(keda).model_copy(update={"hpa": HPA})).kind == "HorizontalPodAutoscaler"


def test_an_hpa_that_keda_has_made_is_left_alone(autoscalers: Autoscalers, keda: Scaled, hpa: Scaled):
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": SCALED_OBJECT}
    hpa.patch({"metadata": {"ownerReferences": [{**owner, "uid": keda.raw["metadata"]["uid"], "controller": True}]}})
    with pytest.raises(NotFound, match="made by KEDA, name its ScaledObject"):
        autoscalers.hold(_hold(hpa))
    assert hpa.value == 3


def test_a_floor_above_the_maximum_is_refused(autoscalers: Autoscalers, hpa: Scaled):
    with pytest.raises(Refused, match="may have 20 replicas at most, not 21: raise its maxReplicas first"):
        autoscalers.hold(_hold(hpa, floor=21))
    assert (hpa.value, hpa.marker) == (3, None)


def test_a_minimum_above_the_floor_stays(autoscalers: Autoscalers, hpa: Scaled):
    assert str(autoscalers.hold(_hold(hpa, floor=2))) == "hpa/tensafe-server: minReplicas 3 → minReplicas 3"
    assert hpa.marker is not None
    with pytest.raises(Refused):
        autoscalers.hold(_hold(hpa, "other"))
    assert autoscalers.release(_release(hpa)).resumed
    assert (hpa.value, hpa.marker) == (3, None)


def test_a_false_pause_of_before_is_put_back(autoscalers: Autoscalers, keda: Scaled):
    keda.annotate(PAUSED, "false")
    assert autoscalers.hold(_hold(keda)).ours
    assert keda.value == "true"
    assert autoscalers.release(_release(keda)).resumed
    assert keda.value == "false"


@pytest.mark.parametrize(
    ("annotation", "value", "who"),
    [(PAUSED, "true", "kubectl-annotate"), (PAUSED, "yes", "kubectl-annotate"), (PAUSED_REPLICAS, "4", "somebody")],
)
def test_paused_by_somebody_else_before_is_left_to_them(
    autoscalers: Autoscalers, keda: Scaled, annotation: str, value: str, who: str
):
    keda.annotate(annotation, value)
    before = keda.raw
    held = autoscalers.hold(_hold(keda))
    assert (held.ours, held.applied) == (False, False)
    assert held.note.startswith(f"paused by {who}")
    assert keda.raw == before


def test_hold_again_after_a_lost_answer(autoscalers: Autoscalers, scaled: Scaled, lost: Any):
    request = _hold(scaled)
    lost(autoscalers.hold, request)
    before = scaled.raw
    again = autoscalers.hold(request)
    assert (again.before, again.after) == SAID[scaled.kind]
    assert (again.applied, again.ours, again.note) == (False, True, EARLIER)
    assert scaled.raw == before


def test_hold_again_does_not_pause_anew_what_somebody_has_resumed(autoscalers: Autoscalers, keda: Scaled):
    request = _hold(keda)
    autoscalers.hold(request)
    keda.annotate(PAUSED, None)
    assert autoscalers.hold(request).note == EARLIER
    assert keda.value is None
    keda.annotate(HOLD, None)
    assert autoscalers.hold(request).note == EARLIER
    assert keda.value is None


def test_the_same_lease_asked_for_by_another_step_is_held_already(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(_hold(scaled))
    again = autoscalers.hold(_hold(scaled))
    assert (again.applied, again.ours, again.before, again.after) == (False, True, *SAID[scaled.kind])


@pytest.mark.parametrize("ago", [timedelta(minutes=-5), timedelta(minutes=9, seconds=30)])
def test_held_by_another_run_is_refused(autoscalers: Autoscalers, scaled: Scaled, ago: timedelta):
    autoscalers.hold(_hold(scaled))
    _terminated(scaled, ago)
    before = scaled.raw
    assert scaled.marker is not None
    with pytest.raises(Refused) as caught:
        autoscalers.hold(_hold(scaled, "mine"))
    assert str(caught.value.message).endswith(
        f"{scaled.name} is held by run scale/other for a@b.c until {scaled.marker.until:%Y-%m-%d %H:%M:%S} UTC: "
        "extend or resume that run instead"
    )
    assert scaled.raw == before


def test_held_by_another_run_is_refused_even_where_somebody_has_resumed_it(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    keda.annotate(PAUSED, None)
    with pytest.raises(Refused):
        autoscalers.hold(_hold(keda, "mine"))


def test_a_terminated_runs_hold_is_taken_over_with_what_was_before(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(_hold(scaled))
    _terminated(scaled, timedelta(minutes=11))
    held = autoscalers.hold(_hold(scaled, "mine", floor=6))
    assert (held.applied, held.ours, held.before, held.after) == (True, True, *SAID[scaled.kind])
    assert held.note == "taken over from run scale/other, which ended without releasing it"
    assert scaled.marker is not None
    assert (scaled.marker.lease, scaled.value) == ("mine", HELD[scaled.kind])
    theirs = autoscalers.release(_release(scaled, "theirs"))
    assert (theirs.resumed, theirs.applied) == (False, False)
    assert theirs.note == "held by run p1 by now, and left to it"
    assert autoscalers.release(_release(scaled, "mine")).resumed
    assert scaled.value == FREE[scaled.kind]


def test_a_hold_that_is_taken_over_may_be_raised(autoscalers: Autoscalers, hpa: Scaled):
    autoscalers.hold(_hold(hpa))
    _terminated(hpa, timedelta(hours=1))
    assert autoscalers.hold(_hold(hpa, "mine", floor=12)).after == "minReplicas 12"
    assert autoscalers.release(_release(hpa, "mine")).after == "minReplicas 3"
    assert hpa.value == 3


def test_what_somebody_has_paused_anew_after_a_terminated_run_is_theirs(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    _terminated(keda, timedelta(hours=1))
    keda.annotate(PAUSED, None)
    keda.annotate(PAUSED, "true")
    held = autoscalers.hold(_hold(keda, "mine"))
    assert (held.ours, held.note) == (False, "paused by kubectl-annotate before, and left to them")


def test_what_somebody_has_resumed_after_a_terminated_run_is_held_anew(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(_hold(scaled))
    _terminated(scaled, timedelta(hours=1))
    if scaled.kind == "ScaledObject":
        scaled.annotate(PAUSED, None)
    else:
        scaled.patch({"spec": {"minReplicas": 5}})
    held = autoscalers.hold(_hold(scaled, "mine"))
    assert (held.applied, held.note) == (True, "")
    autoscalers.release(_release(scaled, "mine"))
    assert scaled.value == (None if scaled.kind == "ScaledObject" else 5)


def test_a_spoilt_mark_is_no_obstacle(autoscalers: Autoscalers, scaled: Scaled):
    scaled.annotate(HOLD, "spoilt")
    assert autoscalers.hold(_hold(scaled)).applied
    assert scaled.marker is not None


def test_planned_hold_changes_nothing(autoscalers: Autoscalers, scaled: Scaled):
    before = scaled.raw
    held = autoscalers.hold(_hold(scaled, effect=an_effect(dry_run=True)))
    assert (held.before, held.after) == SAID[scaled.kind]
    assert (held.applied, held.ours, held.note) == (False, True, "plan only: the API server would accept it")
    released = autoscalers.release(_release(scaled, dry_run=True))
    assert (released.resumed, released.applied, released.note) == (True, False, "plan only: nothing was held")
    renewed = autoscalers.renew(scaled.renew("lease", UNTIL, an_effect(dry_run=True)))
    assert not renewed.applied
    assert scaled.raw == before


def test_planned_renewal_and_release_of_what_is_held_change_nothing(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(_hold(scaled))
    before = scaled.raw
    released = autoscalers.release(_release(scaled, dry_run=True))
    assert (released.resumed, released.applied, released.after) == (True, False, SAID[scaled.kind][0])
    later = UNTIL + timedelta(minutes=5)
    assert not autoscalers.renew(scaled.renew("lease", later, an_effect(dry_run=True))).applied
    assert scaled.raw == before


# -- renew ------------------------------------------------------------------------------------------------


def test_renewal_moves_the_end_and_nothing_else(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(_hold(scaled))
    was = scaled.marker
    assert was is not None
    request = scaled.renew("lease", UNTIL + timedelta(minutes=15), an_effect())
    change = autoscalers.renew(request)
    assert change.applied
    assert (change.before, change.after) == (
        f"held until {UNTIL:%Y-%m-%d %H:%M:%S} UTC",
        f"held until {UNTIL + timedelta(minutes=15):%Y-%m-%d %H:%M:%S} UTC",
    )
    assert scaled.marker == was.model_copy(update={"until": request.until})
    assert scaled.value == HELD[scaled.kind]
    assert autoscalers.renew(request) == change.model_copy(update={"applied": False, "note": EARLIER})
    assert autoscalers.release(_release(scaled)).resumed


def test_a_renewal_that_comes_late_does_not_move_the_end_back(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    first, second = (keda.renew("lease", UNTIL + timedelta(minutes=m), an_effect()) for m in (5, 10))
    for request in (first, second, first):
        autoscalers.renew(request)
    assert keda.marker is not None
    assert keda.marker.until == second.until


def test_renewal_where_there_is_no_hold_is_not_applied(autoscalers: Autoscalers, scaled: Scaled):
    before = scaled.raw
    change = autoscalers.renew(scaled.renew("lease", UNTIL, an_effect()))
    assert (change.applied, change.after) == (False, SAID[scaled.kind][0])
    assert scaled.raw == before
    autoscalers.hold(_hold(scaled, "other"))
    before = scaled.raw
    assert not autoscalers.renew(scaled.renew("lease", UNTIL, an_effect())).applied
    assert scaled.raw == before
    scaled.delete()
    gone = autoscalers.renew(scaled.renew("lease", UNTIL, an_effect()))
    assert (gone.applied, gone.after, gone.note) == (False, "gone", "somebody has deleted it")


# -- release ----------------------------------------------------------------------------------------------


def test_release_again_after_a_lost_answer(autoscalers: Autoscalers, scaled: Scaled, lost: Any):
    autoscalers.hold(_hold(scaled))
    request = _release(scaled)
    lost(autoscalers.release, request)
    autoscalers.hold(_hold(scaled, "next"))
    before = scaled.raw
    again = autoscalers.release(request)
    assert (again.resumed, again.applied, again.note) == (True, False, EARLIER)
    assert (again.after, again.before) == SAID[scaled.kind]
    assert scaled.raw == before


def test_release_again_says_as_well_that_it_was_not_resumed(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    keda.annotate(PAUSED, None)
    request = _release(keda)
    first = autoscalers.release(request)
    again = autoscalers.release(request)
    assert again == first.model_copy(update={"applied": False, "note": f"{first.note}; {EARLIER}"})
    assert not again.resumed


def _theirs(released: Release, who: str) -> None:
    assert (released.resumed, released.applied) == (False, True)
    assert released.note == f"changed by {who} meanwhile, and left as they want it"


@pytest.mark.parametrize(("value", "who"), [(None, "somebody else"), ("false", "kubectl-annotate")])
def test_resumed_by_somebody_else(autoscalers: Autoscalers, keda: Scaled, value: str | None, who: str):
    autoscalers.hold(_hold(keda))
    keda.annotate(PAUSED, value)
    released = autoscalers.release(_release(keda))
    _theirs(released, who)
    assert released.after == "active"
    assert (keda.value, keda.marker) == (value, None)


@pytest.mark.parametrize("first", [None, "false"])
def test_paused_anew_by_somebody_else_stays_paused(autoscalers: Autoscalers, keda: Scaled, first: str | None):
    autoscalers.hold(_hold(keda))
    keda.annotate(PAUSED, first)
    keda.annotate(PAUSED, "true")
    released = autoscalers.release(_release(keda))
    _theirs(released, "kubectl-annotate")
    assert released.after == "paused"
    assert (keda.value, keda.marker) == ("true", None)


def test_paused_by_somebody_elses_manifest_stays_paused(autoscalers: Autoscalers, keda: Scaled, tmp_path: Path):
    autoscalers.hold(_hold(keda))
    manifest = tmp_path / "manifest.yaml"
    spec = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "spec": keda.raw["spec"]}
    manifest.write_text(json.dumps({**spec, "metadata": {"name": SCALED_OBJECT, "annotations": {PAUSED: "true"}}}))
    keda.server.kubectl("apply", "--server-side", "--field-manager=gitops", f"--filename={manifest}")
    _theirs(autoscalers.release(_release(keda)), "gitops")
    assert (keda.value, keda.marker) == ("true", None)


def test_annotating_the_pause_that_there_is_changes_nothing(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    keda.annotate(PAUSED, "true")
    assert autoscalers.release(_release(keda)).resumed
    assert keda.value is None


def test_other_changes_are_no_reason_to_leave_it_paused(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    keda.annotate("team", "sre")
    keda.patch({"spec": {"maxReplicaCount": 30}})
    keda.server.kube.put(keda.path, json=keda.raw).raise_for_status()
    assert autoscalers.release(_release(keda)).resumed
    assert (keda.value, keda.annotations["team"], keda.raw["spec"]["maxReplicaCount"]) == (None, "sre", 30)


def test_pinned_by_somebody_else_meanwhile_stays_pinned(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    keda.annotate(PAUSED_REPLICAS, "12")
    released = autoscalers.release(_release(keda))
    assert (released.resumed, released.after) == (False, "paused at 12 replicas")
    assert released.note == "our pause is removed, but somebody else has paused it at that number"
    assert (keda.value, keda.marker, keda.annotations[PAUSED_REPLICAS]) == (None, None, "12")


@pytest.mark.parametrize("values", [(5,), (3,), (9, 8)])
def test_a_minimum_that_somebody_else_has_set_stays(autoscalers: Autoscalers, hpa: Scaled, values: tuple[int, ...]):
    autoscalers.hold(_hold(hpa))
    for value in values:
        hpa.patch({"spec": {"minReplicas": value}})
    released = autoscalers.release(_release(hpa))
    _theirs(released, "kubectl-patch")
    assert (released.after, hpa.value, hpa.marker) == (f"minReplicas {values[-1]}", values[-1], None)


def test_a_minimum_that_was_not_raised_and_is_lowered_meanwhile_stays(autoscalers: Autoscalers, hpa: Scaled):
    autoscalers.hold(_hold(hpa, floor=2))
    hpa.patch({"spec": {"minReplicas": 1}})
    _theirs(autoscalers.release(_release(hpa)), "kubectl-patch")
    assert (hpa.value, hpa.marker) == (1, None)


def test_an_autoscaler_without_the_mark_is_left_as_it_is(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    keda.annotate(HOLD, None)
    released = autoscalers.release(_release(keda))
    assert (released.resumed, released.after) == (False, "paused")
    assert released.note == "has no mark of this run's hold, and is left as it is"
    assert keda.value == "true"


def test_an_autoscaler_that_is_gone_is_fine(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(_hold(scaled))
    scaled.delete()
    released = autoscalers.release(_release(scaled))
    assert (released.resumed, released.applied, released.after) == (False, False, "gone")
    assert str(released).endswith(f"/{scaled.name}: gone (somebody has deleted it)")


# -- races ------------------------------------------------------------------------------------------------


def test_two_runs_at_once_get_one_hold(autoscalers: Autoscalers, scaled: Scaled):
    for turn in range(5):
        requests = [_hold(scaled, f"{turn}-{name}") for name in "ab"]
        outcomes = _together(*(lambda r=request: autoscalers.hold(r) for request in requests))  # type: ignore[misc]
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Hold", "Refused"]
        assert scaled.marker is not None
        assert autoscalers.release(_release(scaled, scaled.marker.lease)).resumed


def test_two_attempts_at_once_hold_once(autoscalers: Autoscalers, scaled: Scaled):
    request = _hold(scaled)
    outcomes = _together(*[lambda: autoscalers.hold(request)] * 2)
    assert sorted(outcome.applied for outcome in outcomes) == [False, True]
    assert {(outcome.before, outcome.after) for outcome in outcomes} == {SAID[scaled.kind]}
    assert autoscalers.release(_release(scaled)).after == SAID[scaled.kind][0]


def test_two_attempts_at_once_release_once(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(_hold(scaled))
    request = _release(scaled)
    outcomes = _together(*[lambda: autoscalers.release(request)] * 2)
    assert sorted(outcome.applied for outcome in outcomes) == [False, True]
    assert [outcome.resumed for outcome in outcomes] == [True, True]
    assert scaled.value == FREE[scaled.kind]


def test_a_storm_of_other_changes_is_weathered(autoscalers: Autoscalers, scaled: Scaled, between: Any):
    numbers = iter(range(100))
    patches = between(lambda: scaled.annotate("storm", str(next(numbers))), times=4)
    assert autoscalers.hold(_hold(scaled)).applied
    assert len(patches) == 5
    assert scaled.annotations["storm"] == "3"


def test_a_storm_without_an_end_is_a_conflict(autoscalers: Autoscalers, scaled: Scaled, between: Any):
    numbers = iter(range(100))
    between(lambda: scaled.annotate("storm", str(next(numbers))), times=100)
    with pytest.raises(Conflict) as caught:
        autoscalers.hold(_hold(scaled))
    assert not caught.value.non_retryable
    assert (scaled.value, scaled.marker) == (FREE[scaled.kind], None)


def test_paused_by_somebody_between_our_read_and_our_patch(autoscalers: Autoscalers, keda: Scaled, between: Any):
    between(lambda: keda.annotate(PAUSED, "true"))
    held = autoscalers.hold(_hold(keda))
    assert (held.ours, held.applied, keda.marker) == (False, False, None)


def test_deleted_between_our_read_and_our_patch_the_hpa_is_held(
    autoscalers: Autoscalers, keda: Scaled, hpa: Scaled, between: Any
):
    between(keda.delete)
    assert autoscalers.hold(_hold(keda).model_copy(update={"hpa": HPA})).name == HPA
    assert hpa.value == 8


def test_raised_by_somebody_between_our_read_and_our_patch(autoscalers: Autoscalers, hpa: Scaled, between: Any):
    between(lambda: hpa.patch({"spec": {"minReplicas": 10}}))
    assert autoscalers.hold(_hold(hpa)).before == "minReplicas 10"
    autoscalers.release(_release(hpa))
    assert hpa.value == 10


def test_resumed_by_somebody_between_our_read_and_our_patch(autoscalers: Autoscalers, keda: Scaled, between: Any):
    autoscalers.hold(_hold(keda))
    between(lambda: keda.annotate(PAUSED, None))
    _theirs(autoscalers.release(_release(keda)), "somebody else")
    assert keda.marker is None


def test_a_hold_whose_patch_arrives_after_the_release_holds_nothing(
    autoscalers: Autoscalers, scaled: Scaled, between: Any
):
    between(lambda: autoscalers.release(_release(scaled)))
    late = autoscalers.hold(_hold(scaled))
    assert (late.applied, late.note) == (False, f"released before it was held; {EARLIER}")
    assert (scaled.value, scaled.marker) == (FREE[scaled.kind], None)


# -- what others see --------------------------------------------------------------------------------------


def test_the_read_tells_who_holds_it(autoscalers: Autoscalers, scaled: Scaled, kubernetes: Kubernetes):
    where = AutoscalingRequest(namespace=scaled.server.namespace, hpa=HPA, scaled_object=SCALED_OBJECT)
    assert kubernetes.autoscaling(where).held_by is None
    autoscalers.hold(_hold(scaled))
    state = kubernetes.autoscaling(where)
    assert (state.held_by, state.held_until) == ("p1", UNTIL)
    assert str(state).endswith(f", held by p1 until {UNTIL:%H:%M:%S} UTC")
    autoscalers.release(_release(scaled))
    assert kubernetes.autoscaling(where).held_by is None


def test_the_mark_is_plain_to_read(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(_hold(keda))
    text = keda.annotations[HOLD]
    assert set(json.loads(text)) == {"lease", "until", "by", "workflow_id", "before", "held"}
    assert Marker.model_validate_json(text).before is None
