"""A P2 has ended where people close it, it is raised, or another run takes it in."""

from typing import Any

import pytest

from workflows.incident_response.incident_words import Closing
from workflows.incident_response.p2.happened import P2Happened


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"opened": True, "hands_over": True, "listens": True, "resolution": "over"}, False),
        ({"closing": Closing(who="ada", role="on-call", resolution="over", root_cause="a release")}, True),
        ({"raising": "it is down"}, True),
        ({"taken_in": "I-1"}, True),
    ],
)
def test_what_ends_it(fields: dict[str, Any], *, expected: bool) -> None:
    assert P2Happened(**fields).ended is expected
