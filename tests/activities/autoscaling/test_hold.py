"""Holding an autoscaler on a real API server, each effect happening once, beside people who do the same."""

import json
from datetime import timedelta
from typing import Any

import pytest

from activities.autoscaling.autoscalers import Autoscalers, Hold
from activities.autoscaling.objects import HOLD, Marker
from activities.common.effects import is_effect
from activities.common.errors import Refused
from activities.kubernetes.effect_notes import EFFECTS
from tests.activities.autoscaling.holding import EARLIER, FREE, HELD, SAID, UNTIL, hold, release, terminated
from tests.activities.autoscaling.scaled import PAUSED, PAUSED_REPLICAS, Scaled
from tests.activities.kubernetes.on_cluster import an_effect


def test_all_changes_are_marked_as_effects():
    assert [name for name in vars(Autoscalers) if is_effect(getattr(Autoscalers, name))] == ["hold", "renew", "release"]


# -- hold -------------------------------------------------------------------------------------------------


def test_hold_and_release(autoscalers: Autoscalers, scaled: Scaled):
    before, after = SAID[scaled.kind]
    request = hold(scaled)
    held = autoscalers.hold(request)
    noun = "scaledobject" if scaled.kind == "ScaledObject" else "hpa"
    assert held == Hold(
        target=f"{noun}/{scaled.name}",
        before=before,
        after=after,
        applied=True,
        kind=scaled.kind,
        name=scaled.name,
        ours=True,
    )
    assert scaled.value == HELD[scaled.kind]
    marker = scaled.marker
    assert marker is not None
    assert (marker.lease, marker.until, marker.workflow_id, marker.by) == ("lease", UNTIL, "p1", "a@b.c")
    assert request.effect.key in scaled.annotations[EFFECTS]
    released = autoscalers.release(release(scaled))
    assert (released.resumed, released.applied, released.before, released.after) == (True, True, after, before)
    assert released.note == ""
    assert scaled.value == FREE[scaled.kind]
    assert HOLD not in scaled.annotations


def test_a_floor_above_the_maximum_is_refused(autoscalers: Autoscalers, hpa: Scaled):
    with pytest.raises(Refused, match="may have 20 replicas at most, not 21: raise its maxReplicas first"):
        autoscalers.hold(hold(hpa, floor=21))
    assert hpa.value == 3
    assert hpa.marker is None


def test_a_minimum_above_the_floor_stays(autoscalers: Autoscalers, hpa: Scaled):
    assert str(autoscalers.hold(hold(hpa, floor=2))) == "hpa/tensafe-server: minReplicas 3 → minReplicas 3"
    assert hpa.marker is not None
    with pytest.raises(Refused):
        autoscalers.hold(hold(hpa, "other"))
    assert autoscalers.release(release(hpa)).resumed
    assert hpa.value == 3
    assert hpa.marker is None


def test_a_false_pause_of_before_is_put_back(autoscalers: Autoscalers, keda: Scaled):
    keda.annotate(PAUSED, "false")
    assert autoscalers.hold(hold(keda)).ours
    assert keda.value == "true"
    assert autoscalers.release(release(keda)).resumed
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
    held = autoscalers.hold(hold(keda))
    assert (held.ours, held.applied) == (False, False)
    assert held.note.startswith(f"paused by {who}")
    assert keda.raw == before


def test_hold_again_after_a_lost_answer(autoscalers: Autoscalers, scaled: Scaled, lost: Any):
    request = hold(scaled)
    lost(autoscalers.hold, request)
    before = scaled.raw
    again = autoscalers.hold(request)
    assert (again.before, again.after) == SAID[scaled.kind]
    assert (again.applied, again.ours, again.note) == (False, True, EARLIER)
    assert scaled.raw == before


def test_hold_again_does_not_pause_anew_what_somebody_has_resumed(autoscalers: Autoscalers, keda: Scaled):
    request = hold(keda)
    autoscalers.hold(request)
    keda.annotate(PAUSED, None)
    assert autoscalers.hold(request).note == EARLIER
    assert keda.value is None
    keda.annotate(HOLD, None)
    assert autoscalers.hold(request).note == EARLIER
    assert keda.value is None


def test_the_same_lease_asked_for_by_another_step_is_held_already(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(hold(scaled))
    again = autoscalers.hold(hold(scaled))
    assert (again.applied, again.ours, again.before, again.after) == (False, True, *SAID[scaled.kind])


@pytest.mark.parametrize("ago", [timedelta(minutes=-5), timedelta(minutes=6)])
def test_held_by_another_run_is_refused(autoscalers: Autoscalers, scaled: Scaled, ago: timedelta):
    autoscalers.hold(hold(scaled))
    terminated(scaled, ago)
    before = scaled.raw
    assert scaled.marker is not None
    with pytest.raises(Refused) as caught:
        autoscalers.hold(hold(scaled, "mine"))
    assert str(caught.value.message).endswith(
        f"{scaled.name} is held by run scale/other for a@b.c until {scaled.marker.until:%Y-%m-%d %H:%M:%S} UTC: "
        "extend or resume that run instead"
    )
    assert scaled.raw == before


def test_held_by_another_run_is_refused_even_where_somebody_has_resumed_it(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
    keda.annotate(PAUSED, None)
    with pytest.raises(Refused):
        autoscalers.hold(hold(keda, "mine"))


def test_a_terminated_runs_hold_is_taken_over_with_what_was_before(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(hold(scaled))
    terminated(scaled, timedelta(minutes=11))
    held = autoscalers.hold(hold(scaled, "mine", floor=6))
    assert (held.applied, held.ours, held.before, held.after) == (True, True, *SAID[scaled.kind])
    assert held.note == "taken over from run scale/other, which ended without releasing it"
    assert scaled.marker is not None
    assert (scaled.marker.lease, scaled.value) == ("mine", HELD[scaled.kind])
    theirs = autoscalers.release(release(scaled, "theirs"))
    assert (theirs.resumed, theirs.applied) == (False, False)
    assert theirs.note == "held by run p1 by now, and left to it"
    assert autoscalers.release(release(scaled, "mine")).resumed
    assert scaled.value == FREE[scaled.kind]


def test_a_hold_that_is_taken_over_may_be_raised(autoscalers: Autoscalers, hpa: Scaled):
    autoscalers.hold(hold(hpa))
    terminated(hpa, timedelta(hours=1))
    assert autoscalers.hold(hold(hpa, "mine", floor=12)).after == "minReplicas 12"
    assert autoscalers.release(release(hpa, "mine")).after == "minReplicas 3"
    assert hpa.value == 3


def test_what_somebody_has_paused_anew_after_a_terminated_run_is_theirs(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
    terminated(keda, timedelta(hours=1))
    keda.annotate(PAUSED, None)
    keda.annotate(PAUSED, "true")
    held = autoscalers.hold(hold(keda, "mine"))
    assert (held.ours, held.note) == (False, "paused by kubectl-annotate before, and left to them")


def test_what_somebody_has_resumed_after_a_terminated_run_is_held_anew(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(hold(scaled))
    terminated(scaled, timedelta(hours=1))
    if scaled.kind == "ScaledObject":
        scaled.annotate(PAUSED, None)
    else:
        scaled.patch({"spec": {"minReplicas": 5}})
    held = autoscalers.hold(hold(scaled, "mine"))
    assert (held.applied, held.note) == (True, "")
    autoscalers.release(release(scaled, "mine"))
    assert scaled.value == (None if scaled.kind == "ScaledObject" else 5)


def test_a_spoilt_mark_is_no_obstacle(autoscalers: Autoscalers, scaled: Scaled):
    scaled.annotate(HOLD, "spoilt")
    assert autoscalers.hold(hold(scaled)).applied
    assert scaled.marker is not None


def test_planned_hold_changes_nothing(autoscalers: Autoscalers, scaled: Scaled):
    before = scaled.raw
    held = autoscalers.hold(hold(scaled, effect=an_effect(dry_run=True)))
    assert (held.before, held.after) == SAID[scaled.kind]
    assert (held.applied, held.ours, held.note) == (False, True, "plan only: the API server would accept it")
    released = autoscalers.release(release(scaled, dry_run=True))
    assert (released.resumed, released.applied, released.note) == (True, False, "plan only: nothing was held")
    renewed = autoscalers.renew(scaled.renew("lease", UNTIL, an_effect(dry_run=True)))
    assert not renewed.applied
    assert scaled.raw == before


def test_planned_renewal_and_release_of_what_is_held_change_nothing(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(hold(scaled))
    before = scaled.raw
    released = autoscalers.release(release(scaled, dry_run=True))
    assert (released.resumed, released.applied, released.after) == (True, False, SAID[scaled.kind][0])
    later = UNTIL + timedelta(minutes=5)
    assert not autoscalers.renew(scaled.renew("lease", later, an_effect(dry_run=True))).applied
    assert scaled.raw == before


# -- renew ------------------------------------------------------------------------------------------------


def test_renewal_moves_the_end_and_nothing_else(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(hold(scaled))
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
    assert autoscalers.release(release(scaled)).resumed


def test_a_renewal_that_comes_late_does_not_move_the_end_back(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
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
    autoscalers.hold(hold(scaled, "other"))
    before = scaled.raw
    assert not autoscalers.renew(scaled.renew("lease", UNTIL, an_effect())).applied
    assert scaled.raw == before
    scaled.delete()
    gone = autoscalers.renew(scaled.renew("lease", UNTIL, an_effect()))
    assert (gone.applied, gone.after, gone.note) == (False, "gone", "somebody has deleted it")


# -- what others see --------------------------------------------------------------------------------------


def test_the_mark_is_plain_to_read(autoscalers: Autoscalers, keda: Scaled):
    autoscalers.hold(hold(keda))
    text = keda.annotations[HOLD]
    assert set(json.loads(text)) == {"lease", "until", "by", "workflow_id", "before", "held"}
    assert Marker.model_validate_json(text).before is None


def test_a_run_that_was_reset_learns_until_when_it_holds_and_that_it_has_let_go(
    autoscalers: Autoscalers, scaled: Scaled
):
    request = hold(scaled)
    autoscalers.hold(request)
    again = autoscalers.hold(request)
    assert (again.until, again.over) == (UNTIL, False)
    autoscalers.release(release(scaled))
    late = autoscalers.hold(request)
    assert (late.applied, late.over) == (False, True)
    assert (scaled.value, scaled.marker) == (FREE[scaled.kind], None)
