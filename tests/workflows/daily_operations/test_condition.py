"""A service is as its worst part; what could not be looked at is not known to be well."""

import pytest

from workflows.daily_operations.condition import Colour, Condition, Part, worst


def condition(*colours: Colour) -> Condition:
    parts = [Part(name=f"part {n}", colour=colour, why="so") for n, colour in enumerate(colours)]
    return Condition(parts=parts, held=[], figures={})


@pytest.mark.parametrize(
    ("colours", "expected"),
    [
        ([], "GREEN"),
        (["GREEN", "GREEN"], "GREEN"),
        (["GREEN", "YELLOW"], "YELLOW"),
        (["RED", "YELLOW", "GREEN"], "RED"),
        (["YELLOW", "RED"], "RED"),
    ],
)
def test_it_is_as_its_worst_part(colours: list[Colour], expected: Colour) -> None:
    assert worst(colours) == expected


def test_a_service_is_down_only_where_it_is_red_itself() -> None:
    assert condition("RED", "GREEN").down
    assert not condition("YELLOW", "RED").down
    assert condition("YELLOW", "RED").overall == "RED"


def test_the_worst_come_first_and_what_is_well_is_left_out() -> None:
    found = condition("YELLOW", "GREEN", "RED", "YELLOW").unwell
    assert [part.name for part in found] == ["part 2", "part 0", "part 3"]
