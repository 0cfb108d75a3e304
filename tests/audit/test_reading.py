"""A history reads as a story: completely, exactly, and as far as it goes."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.signatures import canonical
from audit.skeleton import restore, take_apart
from audit.story import Story
from tests.audit.histories import HISTORIES, load, of_type, plain, story_of
from workers.registry import PROCEDURES


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
