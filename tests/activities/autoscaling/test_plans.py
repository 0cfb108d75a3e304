"""A hold, its renewal and its release: one lease has an autoscaler, and what others want is left alone."""

from datetime import UTC, datetime, timedelta

import pytest

from activities.autoscaling import plans
from activities.autoscaling.objects import HOLD, Autoscaler, Marker
from activities.autoscaling.plans import Plan
from activities.common.effects import Effect
from activities.common.errors import Refused
from activities.kubernetes.effect_notes import EFFECTS, Done, noted
from tests.activities.autoscaling.written import OURS, PAUSED, PAUSED_REPLICAS, UNTIL, hpa, mark, scaled_object
from tests.activities.kubernetes.on_cluster import an_effect

EARLIER = "done by an earlier attempt"


def held(found: Autoscaler, lease: str = "ours", effect: Effect | None = None) -> Plan:
    return plans.hold(found, lease, UNTIL, 8, effect or an_effect())


def released(found: Autoscaler, lease: str = "ours", effect: Effect | None = None) -> Plan:
    return plans.release(found, lease, effect or an_effect())


def marker_of(plan: Plan) -> Marker | None:
    assert plan.patch is not None
    text = plan.patch["metadata"]["annotations"][HOLD]
    return Marker.model_validate_json(text) if text else None


def test_what_is_free_is_held_and_the_value_of_before_is_kept() -> None:
    plan = held(hpa(3))
    assert (plan.before, plan.after, plan.note, plan.ours) == ("minReplicas 3", "minReplicas 8", "", True)
    marker = marker_of(plan)
    assert marker is not None
    assert (marker.before, marker.held, marker.lease, marker.until) == ("3", "8", "ours", UNTIL)


def test_the_same_lease_has_it_already() -> None:
    plan = held(scaled_object({PAUSED: "true"}, mark(), OURS))
    assert (plan.patch, plan.note, plan.until, plan.over) == (None, EARLIER, UNTIL, False)


def test_a_hold_that_comes_after_its_own_release_takes_nothing() -> None:
    found = scaled_object({EFFECTS: noted({}, Done(key="ours", by="ada", before="", after="active"))})
    plan = held(found)
    assert (plan.patch, plan.over, plan.until) == (None, True, None)


@pytest.mark.parametrize(("ago", "refused"), [(-60, True), (9, True), (11, False)])
def test_another_runs_hold_counts_until_it_has_had_time_to_release_it(ago: int, *, refused: bool) -> None:
    until = datetime.now(UTC) - timedelta(minutes=ago)
    found = scaled_object({PAUSED: "true"}, mark(None, lease="theirs", until=until), OURS)
    if refused:
        with pytest.raises(Refused, match="is held by run run-theirs for ada until"):
            held(found)
    else:
        plan = held(found)
        assert "run-theirs, which ended without releasing it" in plan.note
        marker = marker_of(plan)
        assert marker is not None
        assert (marker.lease, marker.before) == ("ours", None), "what was before the hold that is taken over"


@pytest.mark.parametrize("annotations", [{PAUSED: "true"}, {PAUSED_REPLICAS: "3"}])
def test_what_somebody_has_paused_is_theirs(annotations: dict[str, str]) -> None:
    plan = held(scaled_object(annotations, None, "kubectl"))
    assert (plan.ours, plan.patch) == (False, None)
    assert plan.note == "paused by kubectl before, and left to them"


def test_only_the_lease_that_has_it_moves_its_end() -> None:
    later = UNTIL + timedelta(hours=1)
    found = scaled_object({PAUSED: "true"}, mark(), OURS)
    plan = plans.renew(found, "ours", later, an_effect())
    marker = marker_of(plan)
    assert marker is not None
    assert (marker.until, marker.lease) == (later, "ours")
    assert plan.after == f"held until {later:%Y-%m-%d %H:%M:%S} UTC"
    for other in (plans.renew(found, "theirs", later, an_effect()), plans.renew(hpa(), "ours", later, an_effect())):
        assert (other.patch, other.note) == (None, "not held by this run any more: there is no end to move")


def test_a_release_gives_back_what_was_before() -> None:
    plan = released(hpa(8, mark("3", "8"), OURS))
    assert (plan.before, plan.after, plan.ours) == ("minReplicas 8", "minReplicas 3", True)
    assert plan.patch is not None
    assert plan.patch["spec"] == {"minReplicas": 3}
    assert marker_of(plan) is None


def test_a_release_leaves_what_somebody_has_changed_but_takes_the_mark_off() -> None:
    plan = released(hpa(10, mark("3", "8"), "kubectl"))
    assert (plan.ours, plan.note) == (False, "changed by kubectl meanwhile, and left as they want it")
    assert plan.patch is not None
    assert "spec" not in plan.patch
    assert marker_of(plan) is None


def test_a_release_leaves_anothers_hold_alone() -> None:
    plan = released(hpa(8, mark("3", "8", lease="theirs"), OURS))
    assert (plan.ours, plan.patch) == (False, None)
    assert plan.note == "held by run run-theirs by now, and left to it"


def test_a_release_without_a_hold_tells_one_that_is_on_its_way() -> None:
    plan = released(hpa())
    assert (plan.ours, marker_of(plan)) == (False, None)
    assert plan.patch is not None
    after = scaled_object({EFFECTS: plan.patch["metadata"]["annotations"][EFFECTS]})
    assert held(after).over
    assert released(hpa(), effect=an_effect(dry_run=True)) == Plan("", "minReplicas 3", "plan only: nothing was held")


def test_a_pause_that_stays_by_somebody_elses_number_is_told() -> None:
    plan = released(scaled_object({PAUSED: "true", PAUSED_REPLICAS: "3"}, mark(), OURS))
    assert not plan.ours
    assert "somebody else has paused it at that number" in plan.note


def test_a_second_attempt_of_a_release_says_what_the_first_did() -> None:
    effect = an_effect()
    first = released(hpa(10, mark("3", "8"), "kubectl"), effect=effect)
    assert first.patch is not None
    after = scaled_object({EFFECTS: first.patch["metadata"]["annotations"][EFFECTS]})
    again = released(after, effect=effect)
    assert (again.patch, again.ours, again.note) == (None, False, f"{first.note}; {EARLIER}")
