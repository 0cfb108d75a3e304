"""Who looks after a service that is down is found by the records and by Temporal, the worst first."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from activities.monitoring.runs import OpenRun, ServiceRuns
from activities.records.incidents import OpenIncident, OpenIncidents
from workflows.daily_operations.escalation import Escalation

NOW = datetime(2026, 2, 4, 7, tzinfo=UTC)
ESCALATION = Escalation(*cast("tuple[Any, Any, Any, Any, Any]", (None,) * 5))


def incidents(*known: tuple[str, str, str]) -> OpenIncidents:
    """Give incidents, each an hour after the one before: ID, severity, run."""
    return OpenIncidents(
        items=[
            OpenIncident(
                incident_id=incident_id,
                severity=cast("Any", severity),
                title="",
                status="open",
                opened_at=NOW + n * timedelta(hours=1),
                workflow_id=run,
            )
            for n, (incident_id, severity, run) in enumerate(known)
        ]
    )


def runs(*known: tuple[str, str]) -> ServiceRuns:
    items = [OpenRun(workflow_id=run, procedure=procedure, title="", started_at=NOW) for run, procedure in known]
    return ServiceRuns(items=items, schedules=[])


@pytest.mark.parametrize(
    ("found", "open_runs", "expected"),
    [
        (None, None, ""),
        (incidents(("I-1", "P2", "w1")), runs(("w1", "P2Incident")), ""),
        (incidents(("I-1", "P2", "w1"), ("I-2", "P1", "w2")), None, "I-2"),
        (incidents(("I-2", "P1", "w2")), runs(("w1", "Rollback"), ("w2", "P1Incident")), "w2"),
    ],
)
def test_a_p1_at_work_is_known_by_either(
    found: OpenIncidents | None, open_runs: ServiceRuns | None, expected: str
) -> None:
    assert ESCALATION.at_work(found, open_runs) == expected


def test_the_worst_and_the_oldest_is_told_first() -> None:
    known = incidents(("I-1", "P2", "w1"), ("I-2", "P1", "w2"), ("I-3", "P1", "w3"), ("I-4", "P3", "w4"))
    assert list(ESCALATION._open(known, None).items()) == [("w2", "P1 I-2"), ("w3", "P1 I-3"), ("w1", "P2 I-1")]


def test_a_run_that_the_records_do_not_know_is_told_too() -> None:
    listed = runs(("w9", "P2Incident"), ("w8", "P1Incident"), ("w1", "P2Incident"), ("w7", "Rollback"))
    found = ESCALATION._open(incidents(("I-1", "P2", "w1"), ("I-5", "P1", "")), listed)
    assert list(found.items()) == [("w1", "P2 I-1"), ("w8", "w8"), ("w9", "w9")]
