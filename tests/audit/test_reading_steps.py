"""Every activity, lease and child of a history is a step of its story."""

import json
from pathlib import Path

import pytest

from tests.audit.histories import HISTORIES, load, of_type, plain, story_of


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_every_activity_is_a_step_with_what_it_did(path: Path) -> None:
    history = json.loads(path.read_text(encoding="utf-8"))
    story = story_of(history)
    scheduled = {int(event["eventId"]): event for event in of_type(history, "ACTIVITY_TASK_SCHEDULED")}
    results = {
        int(event["scheduledEventId"]): plain(event["result"]["payloads"][0])
        for event in of_type(history, "ACTIVITY_TASK_COMPLETED")
    }
    others = {
        int(event["scheduledEventId"]): outcome
        for outcome, kind in (("failed", "FAILED"), ("canceled", "CANCELED"))
        for event in of_type(history, f"ACTIVITY_TASK_{kind}")
    }

    steps = {step.event_id: step for step in story.steps if not step.local}
    assert steps.keys() == scheduled.keys()
    assert [step.scheduled_at for step in story.steps] == sorted(step.scheduled_at for step in story.steps)
    for number, event in scheduled.items():
        step = steps[number]
        assert f"{step.section} {step.title}" == plain(event["userMetadata"]["summary"])
        assert step.activity == event["activityType"]["name"]
        assert step.outcome == others.get(number, "completed")
        request, result = plain(event["input"]["payloads"][0]), results.get(number)
        assert (step.effect is not None) == ("effect" in request)
        if step.effect is not None:
            assert step.effect.key == request["effect"]["key"]
        if step.effect is not None and result is not None and "after" in result:
            told = (step.effect.target, step.effect.before, step.effect.after, step.effect.applied)
            assert told == (result["target"], result["before"], result["after"], result["applied"])
    assert story.steps[0].local
    assert story.steps[0].activity == "catalogue.resolve"
    assert story.unreadable == 0
    assert story.events == len(history["events"])


def test_leases_children_and_cancellations_are_told() -> None:
    held = [timer for timer in story_of(load("emergency_scale_up-expired")).timers if timer.kind == "lease"]
    assert [(timer.name, timer.fired_at == timer.due_at or timer.fired_at is not None) for timer in held] == [
        ("the autoscaler's pause", True)
    ]
    assert story_of(load("emergency_scale_up-cancelled")).status == "canceled"
    (child,) = story_of(load("standard_deployment-rolled-back")).children
    assert (child.run.workflow_type, child.outcome) == ("Rollback", "completed")
    assert child.run.run_id


def test_an_attempt_that_failed_is_told() -> None:
    history = load("manual_scale_up-scaled")
    started = of_type(history, "ACTIVITY_TASK_STARTED")[0]
    number = int(started["scheduledEventId"])
    for event in history["events"]:
        if event["eventId"] == started["eventId"]:
            event["activityTaskStartedEventAttributes"] |= {
                "attempt": 3,
                "lastFailure": {
                    "message": "activity failed",
                    "cause": {"message": "503", "applicationFailureInfo": {"type": "Unavailable"}},
                },
            }
    step = next(step for step in story_of(history).steps if step.event_id == number)
    assert (step.attempts, step.failure, step.outcome) == (3, "Unavailable: 503", "completed")
