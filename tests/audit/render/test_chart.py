"""Bars lie where the history has them, whatever the run's length."""

import re
import xml.etree.ElementTree as ET
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.render.chart import chart
from audit.story import Timer
from tests.audit.render.shown import HISTORIES, NOW, edges, lasting, load, page_of
from tests.audit.stories import BEGAN
from tests.audit.stories import story as made


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
