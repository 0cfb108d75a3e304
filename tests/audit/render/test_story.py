"""The same stories give the same page, and each ID on it is there once."""

import re

from audit.render import story as page
from tests.audit.render.shown import HISTORIES, load


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
