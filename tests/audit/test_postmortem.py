"""The draft of a post-mortem: what it says, from recorded histories and from stories made by hand."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.payloads import Decoder
from audit.postmortem import Material, sections
from audit.postmortem_document import compose
from audit.postmortem_impact import read_metrics
from audit.postmortem_releases import releases
from audit.reading import read
from audit.reading_steps import line
from audit.story import Effect, Question, Said, Signal, Step, Story, Timer, Trigger, Word
from tests.audit.stories import BEGAN, story

HISTORIES = Path(__file__).parents[1] / "histories"
S = timedelta(seconds=1)
HOSTILE = "</script><img src=x onerror=alert(1)> [click](http://evil) ![](http://evil/p.png) | cell\n## Owned\n-->"


def history(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((HISTORIES / f"{name}.json").read_text(encoding="utf-8"))
    return content


def recorded(name: str) -> Story:
    return read(history(name), namespace="default", workflow_id=name, run_id=name, decoder=Decoder())


def written(material: Material) -> dict[str, str]:
    return {section.name: section.text for section in sections(material) if section.name}


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


def test_the_releases_that_the_run_looked_at_are_read_from_its_history() -> None:
    events = history("p1_incident-rolled-back")
    found = releases(events, Decoder())
    started = {
        event["eventId"]
        for event in events["events"]
        if event.get("activityTaskScheduledEventAttributes", {}).get("activityType", {}).get("name")
        == "kubernetes.deployment"
    }
    images = {
        image
        for event in events["events"]
        if (done := event.get("activityTaskCompletedEventAttributes")) and done["scheduledEventId"] in started
        for revision in decoded(done["result"]["payloads"][0])["revisions"]
        for image in revision["images"]
    }
    assert images
    assert all(any(image in release.what for release in found) for image in images)
    assert [release.at for release in found] == sorted(release.at for release in found)
    assert releases({"events": [{"eventType": 3}, None]}, Decoder()) == []


def test_lines_of_the_timeline_are_in_the_order_of_time() -> None:
    told = recorded("p1_incident-asked")
    times = re.findall(
        r"^- (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", written(Material("i", [told]))["timeline"], re.MULTILINE
    )
    assert len(times) >= 50
    assert times == sorted(times)


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


def test_the_impact_is_read_from_the_metrics_before_and_since_the_incident() -> None:
    began = BEGAN

    def point(minutes: int, value: str) -> list[Any]:
        return [(began + timedelta(minutes=minutes)).timestamp(), value]

    document = {
        "queries": {
            "error_rate": {
                "query": "q",
                "series": [
                    {
                        "metric": {"code": "500"},
                        "values": [
                            point(-2, "0.01"),
                            point(-1, "0.03"),
                            point(0, "0.5"),
                            point(1, "0.9"),
                            point(2, "NaN"),
                            point(3, "0.1"),
                        ],
                    }
                ],
            },
            "latency": {"query": "q", "error": "bad_data: parse error"},
            "requests": {"query": "q", "series": []},
        }
    }
    first, second, third = read_metrics(json.dumps(document).encode(), began)
    assert (first.labels, first.before, first.lowest, first.highest, first.last) == ("code=500", 0.02, 0.1, 0.9, 0.1)
    assert first.highest_at == began + timedelta(minutes=1)
    assert "parse error" in second.trouble
    assert "no data" in third.trouble
    text = written(Material("i", [story(1)], metrics=[first, second, third]))["impact"]
    assert "| Error rate, code 500 | 2.00 % | 10.00 % at 03:03:00 UTC | 90.00 % at 03:01:00 UTC | 10.00 % |  |" in text
    with pytest.raises(ValueError, match="no export"):
        read_metrics(b"[]", began)


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


def decoded(payload: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(payload["data"]))
