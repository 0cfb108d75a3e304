"""The month's report, against numbers computed here in another way."""

import base64
import itertools
import json
import math
import re
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.payloads import Decoder
from audit.reading import read
from audit.render.report_blocks import preface
from audit.report import Month, Report, Spread
from audit.report_counting import CHARTED, Counting, count
from audit.report_reading import reached
from audit.story import Question, RunIdentity, Said, Step, Story, Word
from tests.audit.reports import NOVEMBER, S, deadline, incident, report
from tests.audit.stories import BEGAN, story

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))
LOCAL = {"catalogue", "procedures"}
"""Systems whose activities run in the workflow's own task: they are markers, and no scheduled events."""


# -- recorded histories --------------------------------------------------------------------------------


class Recorded:
    """What a history says, read straight from its events."""

    def __init__(self, file: Path) -> None:
        self.events = json.loads(file.read_text(encoding="utf-8"))["events"]
        self.name = file.stem

    def of(self, kind: str) -> Iterator[dict[str, Any]]:
        for event in self.events:
            if event["eventType"] == f"EVENT_TYPE_{kind}":
                yield next(value for name, value in event.items() if name.endswith("EventAttributes")) | {
                    "at": self.time(event),
                    "id": event["eventId"],
                    "summary": self.summary(event),
                }

    def time(self, event: dict[str, Any]) -> datetime:
        whole, _, fraction = event["eventTime"].removesuffix("Z").partition(".")
        return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")

    def summary(self, event: dict[str, Any]) -> str:
        payload = event.get("userMetadata", {}).get("summary")
        return decoded(payload) if payload else ""

    def story(self) -> Story:
        history = {"events": self.events}
        return read(history, namespace="default", workflow_id=self.name, run_id=self.name, decoder=Decoder())


def lease_of(summary: str) -> str:
    return summary.removeprefix("lease: ").rpartition(" until ")[0]


def decoded(payload: dict[str, Any]) -> Any:
    return json.loads(base64.b64decode(payload["data"]))


@pytest.fixture(scope="module")
def recorded() -> list[Recorded]:
    # Plans are no runs that a report counts.
    return [Recorded(file) for file in HISTORIES if "-planned" not in file.stem]


@pytest.fixture(scope="module")
def of_recorded(recorded: list[Recorded]) -> Report:
    return report(*(one.story() for one in recorded), month=Month.at(recorded[0].time(recorded[0].events[0])))


@pytest.fixture(scope="module")
def p1_incidents(recorded: list[Recorded]) -> list[Recorded]:
    """Give those that tell their own times in their results; failovers and recoveries are incidents too."""
    return [one for one in recorded if one.name.startswith("p1_incident") and "-cancelled" not in one.name]


@pytest.fixture(scope="module")
def of_p1(p1_incidents: list[Recorded]) -> Report:
    return report(
        *(one.story() for one in p1_incidents), month=Month.at(p1_incidents[0].time(p1_incidents[0].events[0]))
    )


def test_times_are_those_that_the_runs_themselves_gave_as_their_results(
    p1_incidents: list[Recorded], of_p1: Report
) -> None:
    told: dict[str, dict[str, float]] = {}
    for one in p1_incidents:
        ended = next(one.of("WORKFLOW_EXECUTION_COMPLETED"))
        told[one.name] = decoded(ended["result"]["payloads"][0])
    assert len(told) == len(of_p1.incidents) == 12
    for row in of_p1.incidents:
        result = told[row.run_id]
        for name in ("acknowledged", "mitigated"):
            assert iso(result[f"{name}_after"]) == pytest.approx(seconds(getattr(row, name)), abs=0.001)
        # The run reads the clock at the task that ends it, the history has the time at which that was over.
        assert 0 <= seconds(row.resolved) - iso(result["resolved_after"]) < 1


def test_the_spread_of_recorded_times_is_the_textbooks(of_p1: Report) -> None:
    (row,) = of_p1.severities
    assert (row.severity, row.incidents, row.kept, row.missed) == ("P1", 12, 12, 0)
    for spread, name in ((row.acknowledge, "acknowledged"), (row.mitigate, "mitigated"), (row.resolve, "resolved")):
        times = sorted(seconds(getattr(one, name)) for one in of_p1.incidents)
        assert spread is not None
        assert seconds(spread.median) == pytest.approx(median(times), abs=1e-5)
        assert seconds(spread.p90) == pytest.approx(times[math.ceil(0.9 * len(times)) - 1], abs=1e-5)
        assert seconds(spread.longest) == pytest.approx(times[-1], abs=1e-5)


GO_ON_AS_P1 = {f"p2_incident-{name}" for name in ("raised", "handed-on", "handed-over", "joins")}
"""P2s whose incident the P1 counts."""


def test_failovers_and_recoveries_count_as_incidents(recorded: list[Recorded], of_recorded: Report) -> None:
    opened = {
        one.name
        for one in recorded
        if one.name not in GO_ON_AS_P1
        and any(
            event["activityType"]["name"] in {"records.create_incident", "records.raise_incident"}
            for event in one.of("ACTIVITY_TASK_SCHEDULED")
        )
    }
    assert {row.run_id for row in of_recorded.incidents} == opened
    assert {name.partition("-")[0] for name in opened} == {
        "p1_incident",
        "p2_incident",
        "database_failover",
        "full_service_recovery",
    }


def test_steps_retries_and_failures_are_those_of_the_events(recorded: list[Recorded], of_recorded: Report) -> None:
    steps: Counter[str] = Counter()
    retries: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for one in recorded:
        systems = {}
        for event in one.of("ACTIVITY_TASK_SCHEDULED"):
            systems[event["id"]] = event["activityType"]["name"].split(".")[0]
            steps[systems[event["id"]]] += 1
        for event in one.of("ACTIVITY_TASK_STARTED"):
            retries[systems[event["scheduledEventId"]]] += event.get("attempt", 1) - 1
        for kind in ("ACTIVITY_TASK_FAILED", "ACTIVITY_TASK_TIMED_OUT"):
            failed.update(systems[event["scheduledEventId"]] for event in one.of(kind))
    told = {row.system: row for row in of_recorded.systems}
    assert {name: row.steps for name, row in told.items() if name not in LOCAL} == {
        name: number for name, number in steps.items() if name not in LOCAL
    }
    assert {name: row.retries for name, row in told.items() if row.retries} == dict(+retries)
    assert {name: row.failed for name, row in told.items() if row.failed} == dict(+failed)


def test_deadlines_leases_and_answers_are_those_of_the_events(recorded: list[Recorded], of_recorded: Report) -> None:
    fired: Counter[tuple[str, str]] = Counter()
    started: Counter[tuple[str, str]] = Counter()
    leases: dict[str, list[float]] = defaultdict(list)
    moved: Counter[str] = Counter()
    decisions = set()
    for number, one in enumerate(recorded):
        procedure = next(one.of("WORKFLOW_EXECUTION_STARTED"))["workflowType"]["name"]
        timers = {event["id"]: event for event in one.of("TIMER_STARTED")}
        ends = {event["startedEventId"]: event for kind in ("TIMER_FIRED", "TIMER_CANCELED") for event in one.of(kind)}
        rung = {event["startedEventId"] for event in one.of("TIMER_FIRED")}
        for timer_id, timer in timers.items():
            if timer["summary"].startswith("deadline: "):
                key = (procedure, timer["summary"].removeprefix("deadline: "))
                started[key] += 1
                fired[key] += timer_id in rung
        held = [timer_id for timer_id, timer in timers.items() if timer["summary"].startswith("lease: ")]
        if held:
            leases[lease_of(timers[held[0]]["summary"])].append(
                (ends[held[-1]]["at"] - timers[held[0]]["at"]).total_seconds()
            )
            moved[lease_of(timers[held[0]]["summary"])] += len(held) - 1
        for event in one.of("WORKFLOW_EXECUTION_UPDATE_ACCEPTED"):
            asked = event["acceptedRequest"]["input"]
            if asked["name"] == "decide":  # two people who must agree give one answer
                word = json.loads(base64.b64decode(asked["args"]["payloads"][0]["data"]))
                decisions.add((number, word["question"]))
    assert {(row.procedure, row.name): row.kept + row.missed + row.open for row in of_recorded.deadlines} == started
    assert {(row.procedure, row.name): row.missed for row in of_recorded.deadlines} == {k: fired[k] for k in started}
    assert {lease.name: (lease.held, lease.extended) for lease in of_recorded.leases} == {
        name: (len(lasted), moved[name]) for name, lasted in leases.items()
    }
    ends_of = {row.name: (row.expired, row.by_person, row.by_failure, row.open) for row in of_recorded.leases}
    assert ends_of == {
        "the autoscaler's pause": (4, 1, 1, 0),
        "grace of the old key": (2, 1, 1, 0),
        "the damaged copy on primary": (1, 2, 0, 0),
    }
    for lease in of_recorded.leases:
        assert lease.lasted is not None
        assert seconds(lease.lasted.longest) == pytest.approx(max(leases[lease.name]), abs=1e-5)
    assert of_recorded.approvals.answered == len(decisions)
    assert sum(row.answered for row in of_recorded.approvals.roles) == len(decisions)


def test_some_of_the_recorded_incidents_needed_a_human(of_recorded: Report) -> None:
    row = next(row for row in of_recorded.severities if row.severity == "P1")
    assert (row.mitigated, row.automatic) == (13, 8)
    assert of_recorded.automation == pytest.approx(8 / 13)


def test_outcomes_are_counted_by_procedure(recorded: list[Recorded], of_recorded: Report) -> None:
    assert of_recorded.runs == len(recorded) == sum(row.runs for row in of_recorded.outcomes)
    assert {(row.procedure, row.outcome): row.runs for row in of_recorded.outcomes}[("P1Incident", "closed")] == 12


# -- stories made by hand ------------------------------------------------------------------------------


def test_a_response_counts_against_2_1_by_its_acknowledgement() -> None:
    told = report(
        incident(1, acknowledged=899.9),
        incident(2, acknowledged=900),
        incident(3, acknowledged=900.1),
        incident(4),
        incident(5, lasting=60),
        incident(6, severity="P4", acknowledged=1),
    )
    first, other = told.severities
    assert (first.severity, first.kept, first.missed, first.open, first.incidents) == ("P1", 2, 2, 1, 5)
    assert (other.severity, other.kept, other.missed, other.open) == ("P4", 0, 0, 1)


def test_an_open_incident_is_missed_once_it_is_due() -> None:
    began = BEGAN + timedelta(hours=1)
    for after, missed in ((899, 0), (901, 1)):
        (row,) = report(incident(1, lasting=None), as_of=began + after * S).severities
        assert (row.running, row.missed, row.open) == (1, missed, 1 - missed)


def test_a_deadline_that_only_the_runs_end_stopped_was_not_kept() -> None:
    began = BEGAN + timedelta(minutes=1)
    told = report(
        story(
            1,
            said=[Said(at=began, kind="deadline", text="Acknowledged after 0.1 s")],
            timers=[
                deadline("Acknowledged", began, canceled_at=began + S),
                deadline("Mitigated", began, canceled_at=began + 60 * S),
                deadline("Stable", began, fired_at=began + 300 * S),
            ],
        )
    )
    assert {row.name: (row.kept, row.missed, row.open) for row in told.deadlines} == {
        "Acknowledged": (1, 0, 0),
        "Mitigated": (0, 0, 1),
        "Stable": (0, 1, 0),
    }


def test_what_was_lost_again_was_reached_when_it_held() -> None:
    began = BEGAN

    def said(after: int, text: str) -> Said:
        return Said(at=began + after * S, kind="deadline", text=text)

    lost = [
        said(60, "Mitigated after 60.0 s"),
        said(600, "Mitigated lost at 600.0 s: it held since 60.0 s, and is due again at 03:25:00"),
    ]
    assert reached(story(1, said=lost)) == {}
    again = said(700, "Mitigated again after 700.0 s (late)")
    assert reached(story(1, said=[*lost, again])) == {"Mitigated": again.at}


def test_a_history_from_before_runs_spoke_is_read_by_its_timers() -> None:
    began = BEGAN + timedelta(minutes=1)
    told = report(
        story(
            1,
            timers=[
                deadline("Acknowledged", began, canceled_at=began + S),
                deadline("Mitigated", began, canceled_at=began + 60 * S),
            ],
        )
    )
    assert {row.name: (row.kept, row.open) for row in told.deadlines} == {"Acknowledged": (1, 0), "Mitigated": (0, 1)}


@pytest.mark.parametrize(("said_after", "automatic"), [(59, 0), (61, 1)])
def test_a_word_before_mitigation_is_a_human_a_later_one_is_not(said_after: float, automatic: int) -> None:
    at = BEGAN + timedelta(hours=1) + said_after * S
    word = Word(event_id=9, at=at, update="note", who="ada", standing="unsigned")
    (row,) = report(incident(1, acknowledged=1, mitigated=60, words=[word])).severities
    assert (row.mitigated, row.automatic) == (1, automatic)


def test_questions_by_how_they_ended_and_by_role() -> None:
    def question(number: int, **fields: Any) -> Question:
        return Question(id=f"q-{number}", title="?", options={}, asked_at=BEGAN, **fields)

    told = report(
        story(
            1,
            questions=[
                question(1, by="ada (commander)", answered_at=BEGAN + 10 * S),
                question(2, by="bob (on-call)", answered_at=BEGAN + 30 * S, escalated_at=BEGAN + 20 * S),
                question(3, by="eve (x) (commander)", answered_at=BEGAN + 20 * S),
                question(4, by="no answer", answered_at=BEGAN + 600 * S, escalated_at=BEGAN + 300 * S),
                question(5, by="events", answered_at=BEGAN + 5 * S),
                question(6),
            ],
        )
    ).approvals
    assert (told.asked, told.answered, told.by_events, told.unanswered, told.open, told.escalated) == (6, 3, 1, 1, 1, 2)
    assert told.delay == Spread(count=3, median=20 * S, p90=30 * S, longest=30 * S)
    assert [(row.role, row.answered) for row in told.roles] == [("commander", 2), ("on-call", 1)]


def test_plan_mode_is_in_no_other_number() -> None:
    told = report(incident(1, acknowledged=1), incident(2, acknowledged=1, dry_run=True))
    assert (told.runs, told.severities[0].incidents, len(told.incidents)) == (1, 1, 1)
    assert [(row.procedure, row.runs) for row in told.planned] == [("P1Incident", 1)]


def test_drills_are_in_no_other_number() -> None:
    counting = Counting(NOVEMBER, NOVEMBER.until, lambda _: None, {}, drills=["stand-in"])
    practised = incident(2, acknowledged=1, service="stand-in")
    told = count([incident(1, acknowledged=1), practised], counting)
    assert (told.runs, told.severities[0].incidents, len(told.incidents)) == (1, 1, 1)
    assert [(row.procedure, row.runs) for row in told.drilled] == [("P1Incident", 1)]
    assert any("1 drill" in line for line in preface(told))


@pytest.mark.parametrize("first", ["the one that was reset", "the one that goes on"])
def test_what_a_run_had_reached_before_its_reset_is_counted_once(first: str) -> None:
    question = Question(id="q", title="", options={}, asked_at=BEGAN, answered_at=BEGAN + S, by="ada (on-call)")
    step = Step(event_id=1, section="", title="", activity="slack.post", scheduled_at=BEGAN, outcome="completed")
    before = incident(1, acknowledged=1, mitigated=400, lasting=500, questions=[question], steps=[step]).model_copy(
        update={"status": "terminated", "outcome": ""}
    )
    # It says of what was over before when that was, and has no timers for it.
    said = [
        Said(at=before.started_at + 1 * S, kind="deadline", text="Acknowledged after 1.0 s"),
        Said(at=before.started_at + 400 * S, kind="deadline", text="Mitigated: deadline of 09:05:00 UTC missed"),
        Said(at=before.started_at + 400 * S, kind="deadline", text="Mitigated after 400.0 s (late)"),
    ]
    again = incident(1, lasting=3600, questions=[question], steps=[step]).model_copy(
        update={
            "run": RunIdentity(workflow_id="p1-1", run_id="again", workflow_type="P1Incident"),
            "said": said,
            "timers": [],
        }
    )
    alone = report(again)
    counting = Counting(NOVEMBER, NOVEMBER.until, lambda one: one.started_at + 900 * S, {"P1": 900 * S})
    if first == "the one that was reset":
        counting.add(before)
    counting.supersedes(before)
    counting.add(again)
    if first != "the one that was reset":
        counting.add(before)
    told = counting.report()
    assert told.runs == 2
    assert {row.outcome: row.runs for row in told.outcomes} == {"closed": 1, "terminated": 1}
    once = {"runs", "outcomes"}
    assert told.model_dump(exclude=once) == alone.model_dump(exclude=once)
    (row,) = told.severities
    assert (row.incidents, row.mitigated, row.kept) == (1, 1, 1)
    assert row.mitigate is not None
    assert row.mitigate.median == 400 * S
    assert {(one.name, one.kept, one.missed, one.open) for one in told.deadlines} == {
        ("Acknowledged", 1, 0, 0),
        ("Mitigated", 0, 1, 0),
    }


TWICE = {
    "both from the first": {"second": "first", "third": "first"},
    "one from the other": {"second": "first", "third": "second"},
    "the first once more, after one from the other": {"second": "first", "third": "second", "fourth": "first"},
}


@pytest.mark.parametrize("order", [1, -1], ids=["in their order", "the last one first"])
@pytest.mark.parametrize("bases", TWICE.values(), ids=TWICE)
def test_what_was_reset_twice_is_counted_once(bases: dict[str, str], order: int) -> None:
    question = Question(id="q", title="", options={}, asked_at=BEGAN, answered_at=BEGAN + S, by="ada (on-call)")
    step = Step(event_id=1, section="", title="", activity="slack.post", scheduled_at=BEGAN, outcome="completed")
    runs = {
        name: incident(
            1, acknowledged=1, mitigated=400, lasting=500 + n, questions=[question], steps=[step]
        ).model_copy(
            update={
                "run": RunIdentity(workflow_id="p1-1", run_id=name, workflow_type="P1Incident"),
                "ended_at": None if n == len(bases) else BEGAN + (500 + n) * S,
            }
        )
        for n, name in enumerate(["first", *bases])
    }
    alone = report(runs[[*bases][-1]])
    counting = Counting(NOVEMBER, NOVEMBER.until, lambda one: one.started_at + 900 * S, {"P1": 900 * S})
    for name, one in [*runs.items()][::order]:
        if name in bases:
            counting.supersedes(runs[bases[name]], by=one)
        counting.add(one)
    told = counting.report()
    assert told.runs == len(runs)
    once = {"runs", "outcomes"}
    assert told.model_dump(exclude=once) == alone.model_dump(exclude=once)


def test_a_run_that_was_reset_is_one_incident() -> None:
    again = incident(1, acknowledged=1).model_copy(
        update={"run": RunIdentity(workflow_id="p1-1", run_id="other", workflow_type="P1Incident")}
    )
    told = report(incident(1, acknowledged=1), again)
    assert (told.runs, told.severities[0].incidents) == (2, 1)


def test_a_step_that_was_tried_three_times_is_two_retries_of_its_system() -> None:
    def step(activity: str, attempts: int, outcome: Any = "completed") -> Step:
        return Step(
            event_id=1, section="", title="", activity=activity, scheduled_at=BEGAN, attempts=attempts, outcome=outcome
        )

    told = report(story(1, steps=[step("slack.post", 3), step("slack.post", 1), step("helm.upgrade", 2, "timed out")]))
    assert [(row.system, row.steps, row.retries, row.failed) for row in told.systems] == [
        ("helm", 1, 1, 1),
        ("slack", 2, 2, 0),
    ]


@pytest.mark.parametrize(
    ("zone", "since", "until"),
    [
        ("UTC", "2026-10-01T00:00:00+00:00", "2026-11-01T00:00:00+00:00"),
        ("Europe/Berlin", "2026-09-30T22:00:00+00:00", "2026-10-31T23:00:00+00:00"),
        ("America/New_York", "2026-10-01T04:00:00+00:00", "2026-11-01T04:00:00+00:00"),
    ],
)
def test_a_month_is_that_of_its_time_zone(zone: str, since: str, until: str) -> None:
    month = Month.of("2026-10", zone)
    assert (month.since, month.until) == (datetime.fromisoformat(since), datetime.fromisoformat(until))
    inside = [story(n, started_at=at) for n, at in enumerate((month.since, month.until - timedelta(microseconds=1)))]
    outside = [story(n, started_at=at) for n, at in enumerate((month.since - timedelta(microseconds=1), month.until))]
    assert report(*inside, *outside, month=month).runs == 2


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("2026-13", "UTC"),
        ("november", "UTC"),
        ("2026-11", "Mars/Olympus"),
        ("2026-11", "../etc/passwd"),
        ("2026-11", ""),
    ],
)
def test_what_is_no_month_or_zone_is_said(name: str, zone: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(zone if name == "2026-11" else name))):
        Month.of(name, zone)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_the_ninetieth_percentile_is_the_smallest_that_nine_of_ten_do_not_exceed(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread is not None
    enough = [v for v in values if sum(w <= v for w in values) >= math.ceil(len(values) * 9 / 10)]
    assert seconds(spread.p90) == pytest.approx(min(enough), abs=1e-5)
    assert seconds(spread.longest) == pytest.approx(max(values), abs=1e-5)


def test_many_stories_take_no_more_room_than_their_durations() -> None:
    def peak(number: int) -> int:
        many = (incident(n % 600, acknowledged=n % 999, mitigated=n) for n in itertools.count())
        tracemalloc.start()
        told = count(
            (one.model_copy(update={"incident_id": f"INC-{n}"}) for n, one in zip(range(number), many, strict=False)),
            Counting(NOVEMBER, NOVEMBER.until, lambda _: None, {}),
        )
        assert (told.severities[0].incidents, len(told.incidents)) == (number, CHARTED)
        assert told.left_out == number - CHARTED
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    fewer, more = peak(1000), peak(5000)
    assert (more - fewer) / 4000 < 250  # bytes a story; a story itself takes kilobytes


def seconds(span: timedelta | None) -> float:
    assert span is not None
    return span.total_seconds()


def iso(text: Any) -> float:
    """Read `PT1M2.5S`, as a run's result has it."""
    match = re.fullmatch(r"(?:P(?:(\d+)D)?)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", str(text))
    assert match, text
    return sum(float(part or 0) * unit for part, unit in zip(match.groups(), (86_400, 3600, 60, 1), strict=True))
