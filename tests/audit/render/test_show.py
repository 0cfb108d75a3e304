"""A run shown in every format: completely, the chart true to the history, and harmless whatever is in it."""

import json
import re
from pathlib import Path

import pytest

from audit.render import show
from audit.render.chapters import Told
from tests.audit.render.shown import HISTORIES, NOW, hostile, load, page_of, paper, printed


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
