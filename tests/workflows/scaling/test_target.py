"""A target is pinned, in bounds and read, or refused."""

import pytest
from pydantic import ValidationError

from activities.common.errors import InvalidInput, Refused
from workflows.scaling.manual_scale_up import ManualScaleUpRequest
from workflows.scaling.target import pinned


@pytest.mark.parametrize(
    ("by", "current", "target"),
    [("+2", 3, 5), ("×1.5", 3, 5), ("x2", 3, 6), ("*1.5", 4, 6), ("8", 3, 8), ("+1", 0, 1)],
)
def test_a_target_is_pinned(by: str, current: int, target: int) -> None:
    assert pinned(by, current, 20) == target


@pytest.mark.parametrize(
    ("by", "says"), [("3", "no more than"), ("+99", "more than settings allow"), ("×1", "no more")]
)
def test_a_target_out_of_bounds_is_refused(by: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        pinned(by, 3, 20)


def test_a_target_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidInput):
        pinned("-2", 3, 20)
    with pytest.raises(ValidationError):
        ManualScaleUpRequest(target="double")
