"""What speaks against a deployment, and what isn't known speaks against it too."""

from datetime import UTC, datetime
from typing import Any

import pytest

from activities.catalogue.service import ReleasePolicy
from activities.records.incidents import OpenIncident, OpenIncidents
from activities.releases.ci import CiStatus
from workflows.deployment.predeploy import OVERRIDE, STOP, Predeploy, question

OPEN = OpenIncident(
    incident_id="INC-1", severity="P1", title="down", status="open", opened_at=datetime(2026, 2, 4, tzinfo=UTC)
)
WELL: dict[str, Any] = {"tests": CiStatus(verdict="passed"), "incidents": OpenIncidents(items=[]), "off_peak": True}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"tests": None}, ["CI could not be asked whether the tests passed"]),
        ({"tests": CiStatus(verdict="unknown")}, ["tests: unknown"]),
        ({"incidents": None}, ["the open incidents could not be read"]),
        ({"incidents": OpenIncidents(items=[OPEN])}, ["open: P1 INC-1 down (open)"]),
        ({"off_peak": False}, ["it is not off-peak"]),
    ],
)
def test_what_speaks_against_it(fields: dict[str, Any], expected: list[str]) -> None:
    assert Predeploy(**WELL | fields).objections == expected


def test_nobody_answering_stops_it_and_going_on_takes_a_reason() -> None:
    found = Predeploy(tests=None, incidents=None, off_peak=False)
    asked = question("v2", found, ReleasePolicy(chart="repo/api", release="api"))
    assert (asked.default, asked.recommended, asked.reason_for) == (STOP, STOP, [OVERRIDE])
    assert asked.evidence == found.objections
    assert "although CI could not be asked" in asked.title
