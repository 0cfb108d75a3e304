"""Whether what is clear is done unasked is the service's policy, unless who starts the run says otherwise."""

from typing import Any

import pytest

from activities.catalogue.service import IncidentPolicy
from tests.workflows.worlds.world import World
from workflows.incident_response.incident_run import IncidentRequest


@pytest.mark.parametrize(
    ("policy", "said", "expected"),
    [
        ("auto", None, True),
        ("approve", None, False),
        ("auto", "approve", False),
        ("approve", "auto", True),
    ],
)
def test_what_was_said_goes_before_the_policy(policy: Any, said: Any, *, expected: bool) -> None:
    service = World(IncidentPolicy(mitigation=policy)).service
    assert IncidentRequest(mitigation=said).unasked(service) is expected
