"""Figures are shown as people read them; what is not known says so."""

from datetime import UTC, datetime

import pytest

from activities.messages.chat.pictures import Mark, Picture
from workflows.daily_operations.figures import Stretch, marked

NOW = datetime(2026, 2, 4, 7, tzinfo=UTC)
PICTURE = Picture(title="failed requests", unit="%", begin=NOW, end=NOW, values=[], longest_gap=1)


def stretch(known: float | None = 1.0, missing: dict[str, str] | None = None, **values: float | None) -> Stretch:
    return Stretch(values=dict(values), missing=missing or {}, picture=None, known=known)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("uptime", 0.99954, "99.954%"),
        ("error rate", 0.0, "0.000%"),
        ("mrr", 1234567.6, "1,234,568"),
        ("dau", 0.0, "0"),
        ("dau", None, "no data"),
    ],
)
def test_figures_are_shown_as_people_read_them(name: str, value: float | None, expected: str) -> None:
    assert Stretch(values={name: value}, missing={}, picture=None, known=1.0).shown(name) == expected


def test_what_is_missing_says_why() -> None:
    found = stretch(missing={"uptime": "not measured", "dau": "not known"}, dau=None)
    assert [found.shown(name) for name in ("uptime", "dau", "mrr")] == ["not measured", "not known", "no data"]


@pytest.mark.parametrize(
    ("known", "expected"),
    [(None, ""), (1.0, ""), (0.95, ""), (0.94, "known for 94% of the time"), (0.0, "known for 0% of the time")],
)
def test_a_gap_is_told_where_it_is_more_than_a_little(known: float | None, expected: str) -> None:
    assert stretch(known).gaps == expected


def test_marks_are_put_on_a_picture_where_there_is_one() -> None:
    mark = Mark(at=NOW, text="v2")
    found = marked(PICTURE, [mark])
    assert found is not None
    assert found.marks == [mark]
    assert PICTURE.marks == []
    assert marked(None, [mark]) is None
