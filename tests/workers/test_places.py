"""A setting's place is found in its file."""

import pytest

from tests.workers.rules import RULES
from workers.places import line_of


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("route", 0), 2),
        (("route", 0, "match", "a"), 3),
        (("route", 1), 5),
        (("route", 1, "procedure"), 6),
        (("route", 1, "input", "lease"), 8),
        (("route", 1, "input", "odd key", "and.dots", "deep"), 9),
        (("route", 1, "input", "missing"), 7),
        (("route", 2, "x"), None),
        (("elsewhere",), None),
        ((), None),
    ],
)
def test_a_place_is_found_in_the_file(place: tuple[str | int, ...], line: int | None) -> None:
    assert line_of(RULES, place) == line
