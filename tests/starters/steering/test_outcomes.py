"""Whether a run did what was asked."""

import pytest

from starters.steering.outcomes import reached


@pytest.mark.parametrize(
    ("workflow_type", "outcome", "did"),
    [
        ("ManualScaleUp", "scaled", True),
        ("ManualScaleUp", "scaled, not healthy", False),
        ("P1Incident", "closed", True),
        ("P1Incident", "closed, not healthy", False),
        ("Rollback", "rolled back", True),
        ("Rollback", "planned", True),
        ("StandardDeployment", "rolled back", False),
        ("StandardDeployment", "complete", True),
        ("AddGpuNode", "not needed", True),
        ("AddGpuNode", "no node", False),
        ("DatabaseFailover", "not fenced", False),
        ("PointInTimeRestore", "restored, then cancelled", False),
        ("Rollback", "left as it is", False),
    ],
)
def test_whether_a_run_did_what_was_asked(workflow_type: str, outcome: str, *, did: bool) -> None:
    assert reached(workflow_type, outcome) is did
