"""Each chapter of a story says what there was, and that there was nothing."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from audit.records import Header
from audit.render import show
from audit.render.chapters import Told
from audit.render.chart import chart
from audit.render.chart_rows import rows
from audit.story import Question, Timer
from tests.audit.render.shown import HISTORIES, NOW, edges, lasting, load, paper, printed
from tests.audit.stories import BEGAN
from tests.audit.stories import story as made


def test_on_paper_it_says_the_same_and_numbers_its_pages() -> None:
    _, story = load(HISTORIES[0].parent / "p1_incident-asked.json")
    text, pages = paper([Told(story)])
    plain = re.sub(r"[\s\u200b\ufffe\x02]+", "", text)
    for step in story.steps:
        assert re.sub(r"\s+", "", step.title) in plain
    assert [f"{number}/{pages}" in plain for number in range(1, pages + 1)] == [True] * pages
    assert "ada(commander)" in plain
    assert plain.count("Effectorresult") >= 2, "the head stands on every page that the table goes over"


def test_a_question_that_nobody_answered_is_open_only_while_its_run_is() -> None:
    asked = Question(id="mitigation-1", title="Which mitigation?", options={"none": "wait"}, asked_at=BEGAN)
    for ended_at, note in ((None, "open"), (BEGAN + timedelta(minutes=1), "not answered")):
        drawn = rows(made(questions=[asked], started_at=BEGAN, ended_at=ended_at), NOW)
        assert [row.note for row in drawn if row.kind == "question"] == [note]


def test_a_run_that_did_nothing_failed_or_goes_on_is_shown() -> None:
    empty = made(ended_at=None, status="running", outcome="", started_at=BEGAN, events=1)
    assert "1 d 00:00 h until now" in show.html([Told(empty)], NOW)
    failed = made(status="failed", outcome="", failure="NoSuchService: tensafe-sever")
    assert "NoSuchService: tensafe-sever" in paper([Told(failed)])[0].replace("\u200b", "")
    going = empty.model_copy(update={"steps": [lasting(3, BEGAN, None)]})
    (svg,) = chart(going, NOW).parts
    assert edges(svg)["1-step-3"][1] == pytest.approx(edges(svg)["1-run"][1], abs=0.05)


def test_deadlines_say_whether_they_were_kept() -> None:
    def deadline(name: str, **ended: datetime) -> Timer:
        return Timer(
            event_id=len(name),
            kind="deadline",
            name=name,
            started_at=BEGAN,
            due_at=BEGAN + timedelta(minutes=5),
            **ended,
        )

    story = made(
        started_at=BEGAN,
        ended_at=BEGAN + timedelta(minutes=9),
        timers=[
            deadline("Late", fired_at=BEGAN + timedelta(minutes=5)),
            deadline("Dropped", canceled_at=BEGAN + timedelta(minutes=9)),
        ],
    )
    html = show.html([Told(story)], NOW)
    assert re.search(r"Late</th>.*?missed", html, re.DOTALL)
    assert re.search(r"Dropped</th>.*?ended", html, re.DOTALL)
    assert 'id="chart1-1-due-deadline-4"' in html


def test_an_archived_run_names_its_record() -> None:
    header = Header(
        kind="run",
        seq=7,
        previous="0" * 64,
        namespace="default",
        workflow_id="wf-1",
        run_id="run-1",
        closed_at=BEGAN,
        archived_at=datetime(2026, 11, 3, tzinfo=UTC),
        skeleton="a" * 64,
        story="b" * 64,
        key="k" * 16,
    )
    text = printed([Told(made(), archived=True, record=header)])
    assert "the archive" in text
    assert re.search(r"Record in the archive\s+7\s", re.sub(r"\x1b\[[\d;]*m", "", text))
