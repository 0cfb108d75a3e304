"""What people did stands in the story: who answered what, when, and whether they signed it."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from activities.catalogue.lookup import Catalogue
from audit.signatures import word_bytes
from tests.audit.histories import event_like, load, of_type, payload, plain, story_of
from workers.queues import name_of


def test_a_p1_tells_alert_severity_deadlines_and_who_closed_it() -> None:
    story = story_of(load("p1_incident-rolled-back"))

    assert (story.section, story.severity, story.service) == ("2.2", "P1", "tensafe-server")
    assert story.trigger.kind == "alert"
    assert story.trigger.alert is not None
    assert story.trigger.alert["name"] == story.title == "TensafeServerDown"
    assert story.incident_id.startswith("INC-")
    assert (story.status, story.outcome) == ("completed", "closed")
    deadlines = {timer.name: timer for timer in story.timers if timer.kind == "deadline"}
    assert {name: timer.missed for name, timer in deadlines.items()} == dict.fromkeys(
        ("Acknowledged", "Assessed", "Mitigated", "Stable"), False
    )
    assert (deadlines["Stable"].due_at - story.started_at).total_seconds() == pytest.approx(1800, abs=1)
    assert [(word.update, word.who, word.role, word.standing) for word in story.words] == [
        ("close", "ada", "commander", "unsigned")
    ]
    assert story.actors == ["ada"]


def test_a_question_tells_who_answered_what_and_when() -> None:
    story = story_of(load("p1_incident-asked"))

    (question,) = story.questions
    assert (question.id, question.choice, question.by) == ("mitigation-1", "restart", "ada (commander)")
    assert question.choice in question.options
    assert question.answered_at == story.words[0].at
    assert question.delay == story.words[0].at - question.asked_at


def test_a_question_that_nobody_answers_tells_its_default() -> None:
    history = load("add_gpu_node-put-back")
    answered = {
        event["acceptedRequest"]["meta"]["updateId"]: event
        for event in of_type(history, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED")
    }
    assert answered
    events = [event for event in history["events"] if "UPDATE" not in event["eventType"]]
    asked = next(e for e in events if "asked" in str(e.get("workflowPropertiesModifiedEventAttributes")))
    line = {"at": "2026-11-24T02:30:00Z", "kind": "decision", "phase": "", "text": "put-back: keep (no answer)"}
    asked_and_said = {
        "eventType": "EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED",
        "eventTime": asked["eventTime"],
        "eventId": "999",
        "workflowPropertiesModifiedEventAttributes": {"upsertedMemo": {"fields": {"said": payload(line)}}},
    }
    story = story_of({"events": [*events, asked_and_said]})

    (question,) = story.questions
    assert (question.choice, question.by) == ("keep", "no answer")


@pytest.mark.parametrize("by", ["a local activity", "one after a version marker", "an activity"])
@pytest.mark.parametrize(
    ("change", "standing"),
    [({}, "valid"), ({"role": "commander-in-chief"}, "invalid"), ({"signature": None}, "unsigned")],
)
def test_a_signature_is_checked_against_the_keys_the_run_had_pinned(
    change: dict[str, Any], standing: str, by: str
) -> None:
    history = load("p1_incident-rolled-back")
    key = Ed25519PrivateKey.generate()
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    marker = of_type(history, "MARKER_RECORDED")[0]["details"]["result"]["payloads"]
    settings_ = plain(marker[0])
    settings_["approvals"]["public_keys"] = [public]
    marker[0] = payload(settings_)
    first_run = of_type(history, "WORKFLOW_EXECUTION_STARTED")[0]["firstExecutionRunId"]
    (accepted,) = of_type(history, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED")
    words = accepted["acceptedRequest"]["input"]["args"]["payloads"]
    word = plain(words[0])
    signature = key.sign(word_bytes("close", "the-workflow", first_run, word))
    words[0] = payload({**word, "signature": base64.b64encode(signature).decode(), **change})

    at = next(n for n, event in enumerate(history["events"]) if event["eventType"].endswith("MARKER_RECORDED"))
    pinned = history["events"][at]
    if by == "one after a version marker":
        version = {"markerName": "core_patch", "details": {"patch-data": {"payloads": [payload({"id": "earlier"})]}}}
        history["events"].insert(at, {**pinned, "markerRecordedEventAttributes": version, "userMetadata": {}})
    if by == "an activity":
        result = {"payloads": [payload(settings_)]}
        scheduled = {"activityType": {"name": name_of(Catalogue.resolve)}, "activityId": "1"}
        history["events"][at : at + 1] = [
            event_like(pinned, "900", "ACTIVITY_TASK_SCHEDULED", scheduled),
            event_like(
                pinned, "901", "ACTIVITY_TASK_COMPLETED", {"scheduledEventId": "899", "result": {"payloads": []}}
            ),
            event_like(pinned, "902", "ACTIVITY_TASK_COMPLETED", {"scheduledEventId": "900", "result": result}),
        ]

    (told,) = story_of(history).words
    assert told.standing == standing
    assert told.key == (public if standing == "valid" else "")
    assert "signature" not in told.fields


def test_an_answer_that_the_run_took_and_then_failed_on_is_none() -> None:
    history = load("p1_incident-asked")
    completed = [e for e in history["events"] if e["eventType"].endswith("UPDATE_COMPLETED")]
    failure = {"message": "no", "applicationFailureInfo": {"type": "Refused"}}
    completed[0]["workflowExecutionUpdateCompletedEventAttributes"]["outcome"] = {"failure": failure}
    story = story_of(history)

    assert (story.words[0].failed, story.words[0].outcome) == (True, "Refused: no")
    assert story.questions[0].choice == ""


def test_an_update_without_arguments_is_not_signed() -> None:
    history = load("p1_incident-asked")
    (first, *_) = of_type(history, "WORKFLOW_EXECUTION_UPDATE_ACCEPTED")
    del first["acceptedRequest"]["input"]["args"]
    assert story_of(history).words[0].standing == "unsigned"
