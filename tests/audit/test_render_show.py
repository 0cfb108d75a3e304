"""A run shown in every format: completely, the chart true to the history, and harmless whatever is in it."""

import functools
import io
import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from rich.console import Console

from audit.payloads import Decoder
from audit.reading import read
from audit.records import Header
from audit.render import show, show_terminal
from audit.render import story as page
from audit.render.chapters import Told
from audit.render.chart import chart
from audit.render.chart_rows import rows
from audit.story import Effect, Phase, Question, Step, Story, Timer, Trigger, Word
from tests.audit.stories import BEGAN
from tests.audit.stories import story as made

HISTORIES = sorted((Path(__file__).parents[1] / "histories").glob("*.json"))
NOW = BEGAN + timedelta(days=1)
HOSTILE = (
    "a\x00b \x1b]0;owned\x07 <script>alert(1)</script> <img src=x onerror=alert(1)> $x^2$ #panic() *b* \u202etxet "
    + "W" * 300
)


def load(path: Path) -> tuple[dict[str, Any], Story]:
    history = json.loads(path.read_text(encoding="utf-8"))
    return history, read(history, namespace="default", workflow_id="wf", run_id="run", decoder=Decoder())


@functools.cache
def page_of(path: Path) -> str:
    """Draw a recorded run once: that takes a second."""
    return show.html([Told(load(path)[1])], NOW)


def printed(family: list[Told], width: int = 300) -> str:
    content = io.StringIO()
    Console(file=content, force_terminal=True, width=width).print(show_terminal.render(family, NOW))
    return content.getvalue()


def paper(family: list[Told]) -> tuple[str, int]:
    document = pypdfium2.PdfDocument(show.pdf(family, NOW))
    return "\n".join(one.get_textpage().get_text_range() for one in document), len(document)


def lasting(number: int, start: datetime, end: datetime | None, **fields: Any) -> Step:
    return Step(
        event_id=number,
        section="2.2/3",
        title=f"Step {number}",
        activity="x.y",
        scheduled_at=start,
        ended_at=end,
        outcome="completed" if end else "running",
        **fields,
    )


def edges(svg: str) -> dict[str, tuple[float, float]]:
    """Left and right edge of every bar that has an ID."""
    found = {}
    for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        path = group.find("{http://www.w3.org/2000/svg}path")
        if "id" in group.attrib and path is not None:
            places = [float(x) for x in re.findall(r"[ML] (-?[\d.]+) ", path.attrib["d"])]
            if places:
                found[group.attrib["id"]] = (min(places), max(places))
    return found


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_every_recorded_run_is_shown_with_all_its_steps_in_every_format(path: Path) -> None:
    _, story = load(path)
    family = [Told(story)]
    written = {"html": page_of(path), "markdown": show.markdown(family, NOW), "table": printed(family)}
    for form, text in written.items():
        for step in story.steps:
            assert step.activity in text.replace("\\", ""), (form, step.activity)
        for word in story.words:
            assert word.who in text, form
    assert json.loads(show.as_json(family)) == [story.model_dump(mode="json")]


def test_on_paper_it_says_the_same_and_numbers_its_pages() -> None:
    _, story = load(HISTORIES[0].parent / "p1_incident-asked.json")
    text, pages = paper([Told(story)])
    plain = re.sub(r"[\s\u200b\ufffe\x02]+", "", text)
    for step in story.steps:
        assert re.sub(r"\s+", "", step.title) in plain
    assert [f"{number}/{pages}" in plain for number in range(1, pages + 1)] == [True] * pages
    assert "ada(commander)" in plain
    assert plain.count("Effectorresult") >= 2, "the head stands on every page that the table goes over"


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_bars_lie_where_the_history_has_them(path: Path) -> None:
    history, _ = load(path)
    events = {int(event["eventId"]): event for event in history["events"]}

    def at(event: dict[str, Any]) -> float:
        return datetime.fromisoformat(event["eventTime"]).timestamp()

    first, last = history["events"][0], history["events"][-1]
    scheduled = {n: e for n, e in events.items() if e["eventType"] == "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED"}
    ended = {
        int(e[f"activityTask{end}EventAttributes"]["scheduledEventId"]): e
        for e in events.values()
        for end in ("Completed", "Failed", "TimedOut", "Canceled")
        if f"activityTask{end}EventAttributes" in e
    }
    seen = set()
    for number, svg in enumerate(re.findall("<svg.*?</svg>", page_of(path), re.DOTALL), start=1):
        bars = {name.removeprefix(f"chart1-{number}-"): edge for name, edge in edges(svg).items()}
        left, right = bars["run"]
        scale = (right - left) / (at(last) - at(first))
        for event_id, event in scheduled.items():
            if f"step-{event_id}" in bars:
                seen.add(event_id)
                began, finished = bars[f"step-{event_id}"]
                assert began == pytest.approx(left + (at(event) - at(first)) * scale, abs=0.05)
                assert finished == pytest.approx(left + (at(ended[event_id]) - at(first)) * scale, abs=0.05)
    assert seen == scheduled.keys()


@pytest.mark.parametrize("length", [timedelta(seconds=2), timedelta(hours=5), timedelta(days=21)])
def test_seconds_and_weeks_and_two_hundred_steps_can_be_drawn(length: timedelta) -> None:
    pace = length / 200
    steps = [
        lasting(n, BEGAN + n * pace, BEGAN + (n + 1) * pace, attempts=3, started_at=BEGAN + (n + 0.5) * pace)
        for n in range(200)
    ]
    story = made(steps=steps, started_at=BEGAN, ended_at=BEGAN + length)
    found: dict[str, tuple[float, float]] = {}
    for svg in chart(story, NOW).parts:
        assert float(ET.fromstring(svg).attrib["height"].removesuffix("pt")) < 700, "fits on a page"
        found |= {name.partition("-")[2]: edge for name, edge in edges(svg).items()}
    left, right = found["run"]
    for n in range(200):
        whole, final = found[f"step-{n}"], found[f"last-{n}"]
        assert whole[0] == pytest.approx(left + (right - left) * n / 200, abs=0.05)
        assert final[0] == pytest.approx(left + (right - left) * (n + 0.5) / 200, abs=0.05)
        assert final[1] == whole[1]


def test_a_question_that_nobody_answered_is_open_only_while_its_run_is() -> None:
    asked = Question(id="mitigation-1", title="Which mitigation?", options={"none": "wait"}, asked_at=BEGAN)
    for ended_at, note in ((None, "open"), (BEGAN + timedelta(minutes=1), "not answered")):
        drawn = rows(made(questions=[asked], started_at=BEGAN, ended_at=ended_at), NOW)
        assert [row.note for row in drawn if row.kind == "question"] == [note]


def hostile() -> Story:
    step = lasting(
        5,
        BEGAN,
        BEGAN + timedelta(seconds=3),
        failure=HOSTILE,
        result=HOSTILE,
        worker=HOSTILE,
        effect=Effect(key="k", target=HOSTILE, before=HOSTILE, after=HOSTILE, note=HOSTILE),
    )
    question = Question(
        id=HOSTILE,
        title=HOSTILE,
        options={HOSTILE: HOSTILE},
        asked_at=BEGAN,
        choice=HOSTILE,
        by="eve",
        answered_at=BEGAN + timedelta(seconds=1),
        reason=HOSTILE,
    )
    word = Word(event_id=9, at=BEGAN, update="note", who=HOSTILE, fields={HOSTILE: HOSTILE}, standing="invalid")
    return made(
        title=HOSTILE,
        service=HOSTILE,
        outcome=HOSTILE,
        started_at=BEGAN,
        ended_at=BEGAN + timedelta(seconds=4),
        steps=[step.model_copy(update={"title": HOSTILE})],
        questions=[question],
        words=[word],
        result={HOSTILE: [HOSTILE]},
        phases=[Phase(name=HOSTILE, started_at=BEGAN)],
        trigger=Trigger(kind="alert", by=HOSTILE, alert={HOSTILE: HOSTILE}),
    )


def test_hostile_text_is_text_in_every_format() -> None:
    family = [Told(hostile())]
    html = show.html(family, NOW)
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("&lt;script&gt;") > 10
    assert not re.search("[\x00-\x08\x0e-\x1f\u202a-\u202e]", html)
    assert "\x1b]" not in printed(family)
    assert "\u202e" not in printed(family)
    assert not re.search("(?<!&lt;)<(script|img)", show.markdown(family, NOW))
    text, _ = paper(family)
    assert "#panic()" in text.replace("\u200b", "")


def test_ids_on_a_page_of_several_runs_are_unique() -> None:
    _, story = load(HISTORIES[0])
    html = page.html([story, story])
    ids = re.findall(r'\sid="([^"]*)"', html)
    assert len(ids) > 100
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', html)) <= set(ids)


def test_the_same_stories_give_the_same_page() -> None:
    _, story = load(HISTORIES[0])
    assert page.html([story]) == page.html([story])


def test_a_note_beside_a_bar_that_spans_the_run_has_its_room() -> None:
    due = BEGAN + timedelta(minutes=15)
    timer = Timer(event_id=4, kind="deadline", name="Mitigated", started_at=BEGAN, due_at=due)
    open_ = made(timers=[timer], ended_at=None)
    (svg,) = chart(open_, BEGAN + timedelta(minutes=10)).parts
    note = re.search(r' x="([0-9.]+)"[^>]*>due after 15:00 min', svg)
    width = re.search(r'viewBox="0 0 ([0-9.]+) ', svg)
    assert note is not None
    assert width is not None
    assert float(width[1]) - float(note[1]) > len("due after 15:00 min") * 7.5 * 0.5


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
