"""A history reads as a story: completely, exactly, and as far as it goes."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.catalogue.lookup import Catalogue
from audit.payloads import Decoder
from audit.reading import read
from audit.signatures import canonical, word_bytes
from audit.skeleton import restore, take_apart
from audit.story import Story
from workers.queues import name_of
from workers.registry import PROCEDURES

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))


def load(name: str) -> dict[str, Any]:
    history: dict[str, Any] = json.loads((HISTORIES[0].parent / f"{name}.json").read_text(encoding="utf-8"))
    return history


def story_of(history: Any, run_id: str = "the-run") -> Story:
    return read(history, namespace="default", workflow_id="the-workflow", run_id=run_id, decoder=Decoder())


def payload(value: Any) -> dict[str, Any]:
    return {
        "metadata": {"encoding": base64.b64encode(b"json/plain").decode()},
        "data": base64.b64encode(json.dumps(value).encode()).decode(),
    }


def plain(held: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(held["data"]))


def of_type(history: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Attributes of all events of a type, found without the code under test."""
    found = [event for event in history["events"] if event["eventType"] == f"EVENT_TYPE_{kind}"]
    return [{**next(v for k, v in event.items() if k.endswith("EventAttributes")), **event} for event in found]


def test_the_evidence_of_a_morning_says_how_long_it_took() -> None:
    """Runbook 1.1: the whole of it in less than ten minutes."""
    story = story_of(load("morning_startup-green"))
    (timer,) = (timer for timer in story.timers if timer.kind == "deadline")
    assert timer.missed is False
    (said,) = (said for said in story.said if said.kind == "deadline")
    told = re.fullmatch(r"Morning after (\d+\.\d) s", said.text)
    assert told is not None
    assert float(told[1]) < 600


def test_there_is_a_history_of_every_procedure() -> None:
    assert {path.stem.partition("-")[0] for path in HISTORIES} == {procedure.name for procedure in PROCEDURES}


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


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_what_the_run_said_stands_in_the_story(path: Path) -> None:
    history = json.loads(path.read_text(encoding="utf-8"))
    story = story_of(history)
    memos = [event["upsertedMemo"]["fields"] for event in of_type(history, "WORKFLOW_PROPERTIES_MODIFIED")]
    said = [plain(fields["said"]) for fields in memos if "said" in fields]

    assert [line.text for line in story.said] == [line["text"] for line in said]
    assert [phase.name for phase in story.phases] == [line["text"] for line in said if line["kind"] == "phase"]
    for before, after in zip(story.phases, story.phases[1:], strict=False):
        assert before.ended_at == after.started_at
    if story.phases:  # a pulse is over before it has any
        assert story.phases[-1].ended_at == story.ended_at
    assert [question.id for question in story.questions] == [
        plain(fields["asked"])["id"] for fields in memos if "asked" in fields
    ]
    assert story.section == next(p.section for p in PROCEDURES if p.workflow_type == story.run.workflow_type)


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


def test_leases_children_and_cancellations_are_told() -> None:
    held = [timer for timer in story_of(load("emergency_scale_up-expired")).timers if timer.kind == "lease"]
    assert [(timer.name, timer.fired_at == timer.due_at or timer.fired_at is not None) for timer in held] == [
        ("the autoscaler's pause", True)
    ]
    assert story_of(load("emergency_scale_up-cancelled")).status == "canceled"
    (child,) = story_of(load("standard_deployment-rolled-back")).children
    assert (child.run.workflow_type, child.outcome) == ("Rollback", "completed")
    assert child.run.run_id


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
            _event(pinned, "900", "ACTIVITY_TASK_SCHEDULED", scheduled),
            _event(pinned, "901", "ACTIVITY_TASK_COMPLETED", {"scheduledEventId": "899", "result": {"payloads": []}}),
            _event(pinned, "902", "ACTIVITY_TASK_COMPLETED", {"scheduledEventId": "900", "result": result}),
        ]

    (told,) = story_of(history).words
    assert told.standing == standing
    assert told.key == (public if standing == "valid" else "")
    assert "signature" not in told.fields


def _event(like: dict[str, Any], number: str, kind: str, attributes: dict[str, Any]) -> dict[str, Any]:
    first, *rest = kind.lower().split("_")
    field = f"{first}{''.join(map(str.capitalize, rest))}EventAttributes"
    return {"eventId": number, "eventTime": like["eventTime"], "eventType": f"EVENT_TYPE_{kind}", field: attributes}


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


def test_a_redacted_history_reads_but_for_what_is_gone() -> None:
    history = load("p1_incident-asked")
    whole = story_of(history)
    skeleton, _ = take_apart(history)
    bare = story_of(restore(skeleton, {}))

    assert bare.unreadable > 0
    assert len(bare.steps) == len(whole.steps)
    assert [step.activity for step in bare.steps if not step.local] == [s.activity for s in whole.steps if not s.local]
    assert (bare.started_at, bare.ended_at, bare.status) == (whole.started_at, whole.ended_at, whole.status)
    assert not re.search(r"\bada\b", bare.model_dump_json())
    assert {word.standing for word in bare.words} == {"unreadable"}


@pytest.mark.parametrize("odd", ['{"note": "\\ud800"}', '{"a":' * 300 + "1" + "}" * 300])
def test_what_can_not_be_written_again_is_not_read(odd: str) -> None:
    history = load("manual_scale_up-scaled")
    request = of_type(history, "WORKFLOW_EXECUTION_STARTED")[0]["input"]["payloads"][0]
    request["data"] = base64.b64encode(odd.encode()).decode()
    story = story_of(history)

    assert (story.request, story.unreadable) == (None, 1)
    assert Story.model_validate_json(canonical(story.model_dump(mode="json"))) == story


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("TIMER_STARTED", {"startToFireTimeout": "10000000000000s"}),
        ("TIMER_STARTED", {"startToFireTimeout": "infs"}),
        ("TIMER_STARTED", {"startToFireTimeout": "nans"}),
    ],
)
def test_spans_beyond_all_measure_are_read(kind: str, change: dict[str, Any]) -> None:
    history = load("emergency_scale_up-expired")
    of_type(history, kind)[0]  # there is one
    for event in history["events"]:
        if event["eventType"] == f"EVENT_TYPE_{kind}":
            event["timerStartedEventAttributes"] |= change
    assert story_of(history).timers


def test_times_beyond_the_calendar_are_read() -> None:
    history = load("emergency_scale_up-expired")
    history["events"][3]["eventTime"] = "0001-01-01T00:00:00+05:00"
    assert story_of(history).status == "completed"


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


def test_nothing_is_read_from_what_is_no_history() -> None:
    anything: tuple[Any, ...] = (None, [], {}, {"events": "none"}, {"events": [None, 1, {"eventId": []}]})
    for foreign in anything:
        story = story_of(foreign)
        assert (story.steps, story.status) == ([], "running")


_JUNK = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.just([]), st.just({}))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_history_reads_as_far_as_it_goes(data: st.DataObject) -> None:
    history = json.loads(data.draw(st.sampled_from(HISTORIES)).read_text(encoding="utf-8"))
    events = history["events"]
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(events) - 1))
        match data.draw(st.sampled_from(["drop", "swap", "junk", "inside"])):
            case "drop":
                del events[place]
            case "swap":
                other = data.draw(st.integers(0, len(events) - 1))
                events[place], events[other] = events[other], events[place]
            case "junk":
                events[place] = data.draw(_JUNK)
            case "inside":
                _spoil(data, events[place])
        if not events:
            break
    story_of(history)


def _spoil(data: st.DataObject, value: Any) -> None:
    """Put junk somewhere deep inside."""
    while isinstance(value, dict | list) and value:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(value[key], dict | list) or data.draw(st.integers(0, 4)) == 0:
            value[key] = data.draw(_JUNK)
            return
        value = value[key]
