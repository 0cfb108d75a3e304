"""Whatever people and alerts say to a P1 ends its wait."""

from typing import Any

import pytest

from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p1.happened import P1Happened


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"resolutions": 2}, False),
        ({"closing": Closing(who="ada", role="on-call", resolution="over", root_cause="a release")}, True),
        ({"fired_again": True}, True),
        ({"changed_hands": True}, True),
    ],
)
def test_what_ends_a_wait(fields: dict[str, Any], *, expected: bool) -> None:
    assert P1Happened(today=True, **fields).something() is expected
