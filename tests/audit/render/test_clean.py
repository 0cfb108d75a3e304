"""Text of a run has nothing that a terminal obeys or that turns text around, and JSON is told by its names."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from audit.render.clean import clean, clock, flattened, iso, shortened

BEGAN = datetime(2026, 2, 4, 23, 59, 59, 250_000, tzinfo=UTC)


@pytest.mark.parametrize("unfit", ["\x1b", "\x00", "\x7f", "\x9b", "\ud800", "\u202e", "\u200b", "\ufffe"])
def test_what_can_not_be_shown_is_marked(unfit: str) -> None:
    assert clean(f"a{unfit}b") == "a\ufffdb"


def test_lines_and_tabs_stay_and_a_short_form_is_one_line() -> None:
    assert clean("a\n\tb") == "a\n\tb"
    assert shortened(" a\n\tb ", 3) == "a b"
    assert shortened("abcdef", 4) == "abc…"


def test_a_time_has_its_date_on_another_day() -> None:
    later = BEGAN + timedelta(seconds=1)
    assert clock(BEGAN, BEGAN) == "23:59:59.250Z"
    assert clock(later, BEGAN) == "2026-02-05T00:00:00.250Z"
    in_berlin = BEGAN.astimezone(timezone(timedelta(hours=1)))
    assert (clock(in_berlin, BEGAN), iso(in_berlin)) == ("23:59:59.250Z", "2026-02-04T23:59:59Z")


def test_json_is_told_by_its_names() -> None:
    given = {
        "labels": {"severity": "critical", "empty": "", "none": None},
        "pods": ["a", 2],
        "steps": [{"id": 1}, [3]],
        "n": [],
    }
    assert list(flattened(given)) == [
        ("labels.severity", "critical"),
        ("pods", "a\n2"),
        ("steps.1.id", "1"),
        ("steps.2", "3"),
    ]
    assert list(flattened(False)) == [("value", "false")]
