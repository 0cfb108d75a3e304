"""Words that go with numbers, and titles: what people read with none, one and two of a thing."""

from datetime import timedelta

import pytest

from audit.render.clean import clean
from audit.text import alternatives, counted, length, noun, shown, span, titled


@pytest.mark.parametrize(
    ("number", "one", "many", "text"),
    [
        (0, "run", "", "0 runs"),
        (1, "run", "", "1 run"),
        (2, "run", "", "2 runs"),
        (0, "query", "queries", "0 queries"),
        (1, "query", "queries", "1 query"),
        (2, "query", "queries", "2 queries"),
        (1, "run is", "runs are", "1 run is"),
        (11, "run is", "runs are", "11 runs are"),
    ],
)
def test_a_number_has_its_noun(number: int, one: str, many: str, text: str):
    assert counted(number, one, many) == text
    assert noun(number, one, many) == text.split(" ", 1)[1]


@pytest.mark.parametrize(("first", "last", "text"), [(1, 1, "record 1"), (1, 2, "records 1 to 2")])
def test_a_range_of_one_is_one(first: int, last: int, text: str):
    assert span(first, last, "record") == text


@pytest.mark.parametrize(
    ("severity", "title", "text"),
    [
        ("P1", "P1 incident response", "P1 incident response"),
        ("P2", "Emergency scale-up", "P2 Emergency scale-up"),
        ("", "Rollback", "Rollback"),
        ("P1", "", "P1"),
    ],
)
def test_a_severity_stands_once_before_a_title(severity: str, title: str, text: str):
    assert titled(severity, title) == text


@pytest.mark.parametrize(
    ("set_to", "text"),
    [
        (timedelta(seconds=0.3), "0.3 s"),
        (timedelta(seconds=60), "1 min"),
        (timedelta(seconds=90), "90 s"),
        (timedelta(minutes=15), "15 min"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=1, minutes=30), "1 h 30 min"),
        (timedelta(days=1), "1 d"),
        (timedelta(days=7, seconds=5), "7 d 5 s"),
    ],
)
def test_a_span_that_was_set_is_said_as_people_do(set_to: timedelta, text: str):
    assert length(set_to) == text


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")]
)
def test_one_of_several_is_enough(names: list[str], text: str):
    assert alternatives(names) == text


UNSEEN = {
    "soft hyphen": "\u00ad",
    "Arabic letter mark": "\u061c",
    "Hangul filler": "\u3164",
    "zero width space": "\u200b",
    "right-to-left override": "\u202e",
    "word joiner": "\u2060",
    "inhibit Arabic forms": "\u206d",
    "braille blank": "\u2800",
    "interlinear annotation": "\ufff9",
    "byte order mark": "\ufeff",
    "tag": "\U000e0041",
}


@pytest.mark.parametrize("name", UNSEEN)
def test_what_nobody_sees_is_shown_by_its_number(name: str) -> None:
    letter = UNSEEN[name]
    assert shown(f"ok{letter}to") == f"ok⟨U+{ord(letter):04X}⟩to"
    assert clean(f"ok{letter}to") == "ok\ufffdto"


@pytest.mark.parametrize(
    "text",
    [
        "👩\u200d💻",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "✅\ufe0f",
        "e\u0301",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    ],
)
def test_what_letters_are_made_of_stays(text: str) -> None:
    assert shown(text) == text
