"""The timeline's text is what its entries say, though each line is made only once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workflows.platform import timeline as module
from workflows.platform.timeline import Timeline

AT = datetime(2026, 2, 4, 3, tzinfo=UTC)


def filled(entries: int) -> Timeline:
    timeline = Timeline()
    for number in range(entries):
        timeline.add(AT + timedelta(seconds=number), "step", f"step {number}", section="2.2")
    return timeline


def test_only_the_latest_entries_are_shown_and_the_others_counted() -> None:
    assert filled(3).markdown(shown=2).splitlines() == [
        "_1 earlier entry is in the history._",
        "",
        "- 03:00:01 · `2.2` step 1",
        "- 03:00:02 · `2.2` step 2",
    ]
    assert filled(2).markdown(shown=2).count("\n") == 1
    assert filled(3).markdown().count("step") == 3


def test_the_newest_of_many_stands_on_top_as_well() -> None:
    assert filled(2).details("### P1").splitlines()[2] == "- 03:00:00 · `2.2` step 0"
    top = filled(70).details("### P1").splitlines()
    assert (top[0], top[2]) == ("### P1", "**Newest:** 03:01:09 · `2.2` step 69")
    assert top[-1] == "- 03:01:09 · `2.2` step 69"


def test_a_line_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    line = module._line

    def noted(entry: Any) -> str:
        made.append(entry.text)
        return line(entry)

    monkeypatch.setattr(module, "_line", noted)
    timeline = filled(2)
    first = timeline.markdown()
    assert timeline.markdown() == first
    timeline.add(AT, "note", "word", who="ada")
    assert timeline.markdown() == f"{first}\n- 03:00:00 ✎ word — ada"
    assert made == ["step 0", "step 1", "word"]


def test_a_continued_run_goes_on_with_the_entries_of_the_one_before() -> None:
    timeline = filled(1)
    assert "step 0" in timeline.markdown()
    timeline.take_up(filled(3).entries[1:])
    assert timeline.markdown().splitlines() == ["- 03:00:01 · `2.2` step 1", "- 03:00:02 · `2.2` step 2"]
