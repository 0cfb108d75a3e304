"""The draft of a post-mortem: what it says, from recorded histories and from stories made by hand."""

import re
from datetime import UTC, datetime

import pytest

from audit.postmortem import Material, sections
from audit.postmortem_document import compose
from audit.reading_steps import line
from audit.story import Effect, Question, Said, Signal, Step, Timer, Trigger, Word
from tests.audit.postmortems import HOSTILE, S, decoded, history, recorded, written
from tests.audit.stories import BEGAN, story


@pytest.mark.parametrize("name", ["p1_incident-asked", "p1_incident-rolled-back", "p1_incident-fired-again"])
def test_a_recorded_incident_is_told_with_what_was_decided_done_and_kept(name: str) -> None:
    told = recorded(name)
    events = history(name)["events"]
    text = written(Material(told.incident_id, [told]))
    scheduled = [
        e["activityTaskScheduledEventAttributes"] for e in events if "activityTaskScheduledEventAttributes" in e
    ]
    for activity in ("kubernetes.undo_rollout", "kubernetes.restart_rollout", "kubernetes.scale"):
        acted = any(one["activityType"]["name"] == activity for one in scheduled)
        assert (activity in text["tried"]) == acted
    stored = [one for one in scheduled if one["activityType"]["name"].startswith("evidence.")]
    assert text["evidence"].count("sha256: ") == len(stored)
    assert text["timeline"].count("\n- ") >= len(scheduled)
    for milestone in ("Acknowledged", "Assessed", "Mitigated", "Stable"):
        assert f"| {milestone} | 20" in text["summary"]
    closing = decoded(
        next(e for e in events if e.get("eventType") == "EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED")[
            "workflowExecutionCompletedEventAttributes"
        ]["result"]["payloads"][0]
    )
    assert closing["resolution"] in text["summary"]
    assert closing["root_cause"] in text["summary"]


def test_open_questions_are_unanswered_ones_missed_deadlines_and_failed_steps() -> None:
    asked = {"title": "Which mitigation?", "options": {}, "asked_at": BEGAN}
    told = story(
        1,
        questions=[
            Question(id="m-1", **asked),
            Question(id="m-2", by="no answer", choice="none", **asked),
            Question(id="m-3", by="ada (commander)", escalated_at=BEGAN, **asked),
            Question(id="m-4", by="ada (commander)", **asked),
        ],
        timers=[
            Timer(event_id=1, kind="deadline", name="Mitigated", started_at=BEGAN, due_at=BEGAN, fired_at=BEGAN),
            Timer(event_id=2, kind="deadline", name="Stable", started_at=BEGAN, due_at=BEGAN, fired_at=BEGAN),
        ],
        said=[Said(at=BEGAN + 9 * S, kind="deadline", text="Stable after 9.0 s (late)")],
        steps=[
            Step(
                event_id=1,
                section="2.2/A",
                title="Roll back",
                activity="kubernetes.undo_rollout",
                scheduled_at=BEGAN,
                outcome="failed",
                failure="Refused: somebody else has released",
            )
        ],
        unreadable=3,
    )
    assert written(Material("i", [told]))["questions"].splitlines()[2:] == [
        "- Nobody has answered “Which mitigation?” (m-1), asked 2026-11-02 03:00:00 UTC.",
        "- Why did nobody answer “Which mitigation?” (m-2)? The run took: none.",
        "- Why did “Which mitigation?” (m-3) have to be escalated before ada (commander) answered?",
        "- Why was the deadline Mitigated missed? It was never reached.",
        "- Why was the deadline Stable missed? It was reached at 2026-11-02 03:00:09 UTC.",
        "- 2.2/A Roll back failed: Refused: somebody else has released",
        "- 3 parts of wf-1 are encrypted or redacted and could not be read.",
    ]


def test_changes_are_earlier_releases_and_runs_that_did_something() -> None:
    effect = Effect(key="k", target="release/tensafe", before="v1.2.3", after="v1.2.4")
    earlier = story(
        0,
        title="Standard deployment",
        outcome="complete",
        steps=[
            Step(
                event_id=1,
                section="4.1/3",
                title="Upgrade",
                activity="helm.upgrade",
                scheduled_at=BEGAN,
                outcome="completed",
                effect=effect,
            )
        ],
    )
    text = written(Material("i", [story(5)], changes=[earlier]))["changes"]
    assert "Standard deployment (`runbooks audit show wf-0@run-0`): complete; release/tensafe: v1.2.3 → v1.2.4" in text
    assert "None is known" in written(Material("i", [story(5)]))["changes"]


def test_it_begins_with_what_people_ask_first() -> None:
    told = recorded("p1_incident-rolled-back")
    repair = story(0, title="Manual scale-up", outcome="scaled").model_copy(
        update={"started_at": told.started_at + S, "ended_at": told.ended_at}
    )
    summary = written(Material(told.incident_id, [told], changes=[repair]))["summary"]
    first, figures = summary.split("\n|", maxsplit=1)
    assert [line.partition(".**")[0] for line in first.splitlines() if line.startswith("**")] == [
        "**What happened",
        "**Cause",
        "**What was done",
        "**How long",
        "**Who",
        "**Others at the same time",
    ]
    assert "an alert started it, alertmanager — TensafeServerDown" in first
    assert "Manual scale-up (`runbooks audit show " in first
    assert "| Severity | P1 |" in figures


def test_a_result_is_told_in_words() -> None:
    assert line({"items": [1, 2], "complete": True, "truncated": False, "hpa_max": 10, "note": ""}) == (
        "2 in all, complete, HPA at most: 10"
    )
    assert line({"items": []}) == "nothing"
    assert line({"applied": False}) == ""
    assert line({"status": "unhealthy", "milliseconds": 7.574350000140839}) == "status: unhealthy, took 7.57 ms"
    assert line({"values": {"error_rate": 0.44444, "p95_latency": 1.887}}) == "error rate: 44.44 %, p95 latency: 1.89 s"
    assert line({"pods": {str(number): number for number in range(9)}}) == "9 pods"
    assert line({"nodes": ["one"], "more": 0, "by": ["ada"]}) == "1 node, by: 1"
    assert line({"service": {"name": "shop", **{str(number): [] for number in range(9)}}}) == "service: shop"
    assert line({"last_used_at": "2026-11-25T07:03:00.818103Z"}) == "last used 2026-11-25 07:03:00 UTC"
    assert line({"size": 8589934592, "cache_hit": 0.999}) == "size: 8.0 GiB, cache hit: 99.90 %"


def test_hostile_text_is_neither_markup_nor_a_marker() -> None:
    effect = Effect(key="k", target=HOSTILE, before=HOSTILE, after=HOSTILE, note=HOSTILE)
    told = story(
        1,
        title=HOSTILE,
        service=HOSTILE,
        failure=HOSTILE,
        outcome=HOSTILE,
        trigger=Trigger(kind="alert", by=HOSTILE, alert={"name": HOSTILE, "summary": HOSTILE, "starts_at": HOSTILE}),
        said=[Said(at=BEGAN, kind="decision", text=HOSTILE, who=HOSTILE)],
        words=[Word(event_id=1, at=BEGAN, update="note", who=HOSTILE, fields={"text": HOSTILE}, standing="unsigned")],
        signals=[Signal(event_id=1, at=BEGAN, name=HOSTILE, body={"name": HOSTILE})],
        steps=[
            Step(
                event_id=1,
                section="",
                title=HOSTILE,
                activity="x.y",
                scheduled_at=BEGAN,
                ended_at=BEGAN,
                outcome="completed",
                effect=effect,
                result=HOSTILE,
            )
        ],
        questions=[Question(id="q", title=HOSTILE, options={}, asked_at=BEGAN)],
    )
    text = compose("INC-1", sections(Material("INC-1", [told], changes=[told], metrics_trouble=HOSTILE)))
    ours = re.sub(r"^<!-- runbooks:.* -->$", "", text, flags=re.MULTILINE)
    assert "<" not in ours
    assert not re.search(r"(?<!\\)\[click", ours)
    assert not re.search(r"(?<!\\)!\\?\[", ours)
    assert "\n## Owned" not in ours
    rows = [line for line in ours.splitlines() if line.startswith("| 20")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 8 for row in rows)


def test_the_same_material_gives_the_same_document() -> None:
    told = recorded("p1_incident-fired-again")
    first, second = (compose("i", sections(Material("i", [told, story(1)]))) for _ in range(2))
    assert first == second
    assert BEGAN.tzinfo is UTC
    assert datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S") not in first
