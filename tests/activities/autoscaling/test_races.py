"""Two runs, two attempts, or a run and somebody else, at one autoscaler of a real API server at the same moment."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from activities.autoscaling.autoscalers import Autoscalers
from activities.common.errors import Conflict, Refused
from tests.activities.autoscaling.holding import EARLIER, FREE, SAID, hold, release, theirs
from tests.activities.autoscaling.scaled import HPA, PAUSED, Scaled


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


def test_two_runs_at_once_get_one_hold(autoscalers: Autoscalers, scaled: Scaled):
    for turn in range(5):
        requests = [hold(scaled, f"{turn}-{name}") for name in "ab"]
        outcomes = _together(*(lambda r=request: autoscalers.hold(r) for request in requests))
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Hold", "Refused"]
        assert scaled.marker is not None
        assert autoscalers.release(release(scaled, scaled.marker.lease)).resumed


def test_two_attempts_at_once_hold_once(autoscalers: Autoscalers, scaled: Scaled):
    request = hold(scaled)
    outcomes = _together(*[lambda: autoscalers.hold(request)] * 2)
    assert sorted(outcome.applied for outcome in outcomes) == [False, True]
    assert {(outcome.before, outcome.after) for outcome in outcomes} == {SAID[scaled.kind]}
    assert autoscalers.release(release(scaled)).after == SAID[scaled.kind][0]


def test_two_attempts_at_once_release_once(autoscalers: Autoscalers, scaled: Scaled):
    autoscalers.hold(hold(scaled))
    request = release(scaled)
    outcomes = _together(*[lambda: autoscalers.release(request)] * 2)
    assert sorted(outcome.applied for outcome in outcomes) == [False, True]
    assert [outcome.resumed for outcome in outcomes] == [True, True]
    assert scaled.value == FREE[scaled.kind]


def test_a_storm_of_other_changes_is_weathered(autoscalers: Autoscalers, scaled: Scaled, between: Any):
    numbers = iter(range(100))
    patches = between(lambda: scaled.annotate("storm", str(next(numbers))), times=4)
    assert autoscalers.hold(hold(scaled)).applied
    assert len(patches) == 5
    assert scaled.annotations["storm"] == "3"


def test_a_storm_without_an_end_is_a_conflict(autoscalers: Autoscalers, scaled: Scaled, between: Any):
    numbers = iter(range(100))
    between(lambda: scaled.annotate("storm", str(next(numbers))), times=100)
    with pytest.raises(Conflict) as caught:
        autoscalers.hold(hold(scaled))
    assert not caught.value.non_retryable
    assert (scaled.value, scaled.marker) == (FREE[scaled.kind], None)


def test_paused_by_somebody_between_our_read_and_our_patch(autoscalers: Autoscalers, keda: Scaled, between: Any):
    between(lambda: keda.annotate(PAUSED, "true"))
    held = autoscalers.hold(hold(keda))
    assert (held.ours, held.applied, keda.marker) == (False, False, None)


def test_deleted_between_our_read_and_our_patch_the_hpa_is_held(
    autoscalers: Autoscalers, keda: Scaled, hpa: Scaled, between: Any
):
    between(keda.delete)
    assert autoscalers.hold(hold(keda).model_copy(update={"hpa": HPA})).name == HPA
    assert hpa.value == 8


def test_raised_by_somebody_between_our_read_and_our_patch(autoscalers: Autoscalers, hpa: Scaled, between: Any):
    between(lambda: hpa.patch({"spec": {"minReplicas": 10}}))
    assert autoscalers.hold(hold(hpa)).before == "minReplicas 10"
    autoscalers.release(release(hpa))
    assert hpa.value == 10


def test_resumed_by_somebody_between_our_read_and_our_patch(autoscalers: Autoscalers, keda: Scaled, between: Any):
    autoscalers.hold(hold(keda))
    between(lambda: keda.annotate(PAUSED, None))
    theirs(autoscalers.release(release(keda)), "somebody else")
    assert keda.marker is None


def test_a_hold_whose_patch_arrives_after_the_release_holds_nothing(
    autoscalers: Autoscalers, scaled: Scaled, between: Any
):
    between(lambda: autoscalers.release(release(scaled)))
    late = autoscalers.hold(hold(scaled))
    assert (late.applied, late.note) == (False, f"released before it was held; {EARLIER}")
    assert (scaled.value, scaled.marker) == (FREE[scaled.kind], None)
