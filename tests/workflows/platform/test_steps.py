"""An effect has one identity for each time it is done, and IDs of a run's own are the same after a reset."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import RetryState
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

from activities.catalogue.lookup import Resolved
from workflows.platform.steps import Steps, _cancelled, reason


@pytest.fixture(autouse=True)
def info(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    found = SimpleNamespace(workflow_id="w", first_execution_run_id="r1", run_id="r1")
    monkeypatch.setattr(workflow, "info", lambda: found)
    return found


def steps(*, own_ids: bool = True) -> Steps:
    made = Steps()
    made.pinned = cast("Resolved", SimpleNamespace(own_ids=own_ids))
    return made


def failed(cause: BaseException | None) -> ActivityError:
    error = ActivityError(
        "activity failed",
        scheduled_event_id=1,
        started_event_id=2,
        identity="",
        activity_type="x",
        activity_id="1",
        retry_state=cast("Any", RetryState.RETRY_STATE_UNSPECIFIED),
    )
    error.__cause__ = cause
    return error


def test_the_second_of_a_name_is_another_effect() -> None:
    run = steps()
    assert [run.effect(name).key for name in ("scale", "scale", "page", "scale")] == [
        "w/r1/scale",
        "w/r1/scale-2",
        "w/r1/page",
        "w/r1/scale-3",
    ]


def test_asking_for_the_first_counts_nothing() -> None:
    run = steps()
    assert run.first_effect("scale").key == "w/r1/scale"
    assert run.effect("scale").key == "w/r1/scale"


def test_a_reset_run_has_the_same_effects_and_ids(info: SimpleNamespace) -> None:
    before, ids = steps().effect("scale"), [one := steps(), one.own_id(6), one.own_id(6)][1:]
    info.run_id = "r2"
    again = steps()
    assert again.effect("scale").key == before.key
    assert [again.own_id(6), again.own_id(6)] == ids
    assert len(set(ids)) == 2


def test_a_later_epoch_of_a_run_has_others(info: SimpleNamespace) -> None:
    first, later = steps(), steps()
    later.epoch = "2"
    assert later.effect("scale").key == "w/r1/2/scale"
    assert first.own_id(20) != later.own_id(20)


def test_a_run_from_before_has_ids_of_its_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "uuid4", lambda: SimpleNamespace(hex="0123456789abcdef"))
    assert steps(own_ids=False).own_id(6) == "012345"


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (ApplicationError("no such pod", type="NotFound"), "NotFound: no such pod"),
        (ApplicationError("odd"), "failed: odd"),
        (ValueError("broken"), "broken"),
        (None, "activity failed"),
    ],
)
def test_a_failure_is_told_as_it_was_typed(cause: BaseException | None, expected: str) -> None:
    assert reason(failed(cause)) == expected


def test_a_cancel_is_no_failure_of_a_step() -> None:
    assert _cancelled(failed(CancelledError("cancelled")))
    assert not _cancelled(failed(ApplicationError("odd")))
