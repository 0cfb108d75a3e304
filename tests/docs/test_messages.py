"""`python -m docs.messages` draws what recorded runs would post by today's code."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Browser

from docs.messages import HISTORIES, POST, RUNS, draw, messages, page
from workers.registry import PROCEDURES

DRAWN = [run for runs in RUNS.values() for run in runs]
OPERATIONS = ("1.1", "1.2", "1.3", "2.3", "6.1")
"""The runbook's sections whose messages people read every day."""


def posted(run: str) -> int:
    """Count the messages of a recorded run, in its history."""
    events = json.loads((HISTORIES / f"{run}.json").read_text(encoding="utf-8"))["events"]
    scheduled = [event.get("activityTaskScheduledEventAttributes") or {} for event in events]
    return sum(one.get("activityType", {}).get("name") == POST for one in scheduled)


def test_the_daily_operations_a_p2_and_a_window_are_drawn() -> None:
    named = {run.partition("-")[0] for run in DRAWN}
    assert named == {entry.name for entry in PROCEDURES if entry.section in OPERATIONS}


@pytest.mark.parametrize("run", DRAWN)
async def test_each_message_of_a_run_is_on_its_page(run: str) -> None:
    found = await messages(run)
    assert len(found) == posted(run) > 0
    text = page({run: found})
    assert text.count("<article>") == len(found)
    for message in found:
        *_, last = message.text.splitlines()
        assert last.rpartition(" ")[2].strip("*_`") in text
    assert text.count("<img ") == sum(message.picture is not None for message in found)


@pytest.mark.timeout(600)
async def test_the_pictures_are_written(browser: Browser, tmp_path: Path) -> None:
    pictures = await draw(browser, tmp_path)
    assert {picture.file.name for picture in pictures} == {f"{name}.png" for name in RUNS}
    for picture in pictures:
        assert picture.posts.keys() == set(RUNS[picture.file.stem])
        image = picture.file.read_bytes()
        assert image.startswith(b"\x89PNG")
        # Wider than the window, and higher than a message each: nothing is cut off.
        width, height = (int.from_bytes(image[at : at + 4], "big") for at in (16, 20))
        assert width == 672
        assert height > 50 * sum(map(len, picture.posts.values()))
