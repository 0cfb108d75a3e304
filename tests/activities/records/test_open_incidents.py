"""Which incidents of a service are not over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg_pool import ConnectionPool
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Unavailable
from activities.records.activities import Records
from activities.records.incidents import (
    CloseIncident,
    CreateIncident,
    MarkIncident,
    OpenIncidents,
    OpenIncidentsRequest,
    RaiseIncident,
)
from records_schema.pool import connect_pool
from tests.records_schema.fixtures import effect
from tests.records_schema.own_server import OwnPostgres

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
def records(records_pool: ConnectionPool[Any]) -> Records:
    return Records(records_pool)


def opened(records: Records, name: str, severity: Any = "P1", minutes: int = 0, service: str = "tensafe") -> None:
    records.create_incident(
        CreateIncident(
            incident_id=name,
            severity=severity,
            title=f"{name} is down",
            service=service,
            commander="grace",
            opened_at=NOW + timedelta(minutes=minutes),
            effect=effect(f"create-{name}"),
        )
    )


def marked(records: Records, name: str, milestone: Any) -> None:
    records.mark_incident(MarkIncident(incident_id=name, milestone=milestone, at=NOW, effect=effect(f"mark-{name}")))


def read(records: Records, *severities: Any) -> OpenIncidents:
    request = OpenIncidentsRequest(service="tensafe", severities=list(severities))
    return ActivityEnvironment().run(records.open_incidents, request)


def test_incidents_that_are_not_over_come_oldest_first(records: Records) -> None:
    opened(records, "second", minutes=2)
    opened(records, "first", "P2", minutes=1)
    opened(records, "mitigated", minutes=3)
    marked(records, "mitigated", "mitigated")
    opened(records, "stable", minutes=4)
    marked(records, "stable", "stable")
    opened(records, "cancelled")
    marked(records, "cancelled", "cancelled")
    opened(records, "closed")
    records.close_incident(
        CloseIncident(
            incident_id="closed", at=NOW, closed_by="g", resolution="r", root_cause="c", effect=effect("close")
        )
    )
    found = read(records, "P1", "P2")
    assert [(one.incident_id, one.status) for one in found.items] == [
        ("first", "open"),
        ("second", "open"),
        ("mitigated", "mitigated"),
        ("stable", "stable"),
    ]
    assert str(found).startswith("P2 first first is down (open); P1 second")
    assert found.items[0].opened_at == NOW + timedelta(minutes=1)


def test_of_several_that_one_workflow_id_has_opened_a_run_may_look_after_the_newest(records: Records) -> None:
    opened(records, "left", minutes=1)
    opened(records, "led", minutes=2)
    found = read(records, "P1")
    by_hand = [found.items[0].model_copy(update={"incident_id": name, "workflow_id": ""}) for name in ("a", "b")]
    assert [one.incident_id for one in found.items] == ["left", "led"]
    assert [one.incident_id for one in OpenIncidents(items=[*by_hand, *found.items]).led] == ["a", "b", "led"]


def test_only_the_service_and_the_severities_asked_for(records: Records) -> None:
    opened(records, "ours")
    opened(records, "small", "P3")
    opened(records, "theirs", service="another")
    assert [one.incident_id for one in read(records, "P1", "P2").items] == ["ours"]
    assert [one.incident_id for one in read(records, "P3").items] == ["small"]
    assert read(records).items == []
    assert str(read(records, "P4")) == "no open incidents"


def test_without_postgresql_nothing_is_said_to_be_open_or_not(own_postgres: OwnPostgres) -> None:
    with connect_pool(own_postgres.url(), max_size=1) as pool, pytest.raises(Unavailable):
        read(Records(pool), "P1")


def test_other_services_that_are_asked_for_come_with_their_names(records: Records) -> None:
    opened(records, "ours")
    opened(records, "theirs", service="another", minutes=1)
    opened(records, "not-asked-for", service="a-third")
    request = OpenIncidentsRequest(service="tensafe", severities=["P1"], others=["another", "unknown"])
    found = records.open_incidents(request)
    assert [(one.incident_id, one.service) for one in found.items] == [("ours", "tensafe"), ("theirs", "another")]


def test_an_incident_is_raised_once_and_never_lowered(records: Records) -> None:
    opened(records, "slow", "P2")
    before = read(records, "P2").items[0]
    assert before.workflow_id == effect("create-slow").workflow_id
    by_p1 = effect("raise").model_copy(update={"workflow_id": "p1-incident/tensafe"})
    up = records.raise_incident(RaiseIncident(incident_id="slow", severity="P1", effect=by_p1))
    assert (up.before, up.after, up.applied) == ("P2", "P1", True)
    again = records.raise_incident(RaiseIncident(incident_id="slow", severity="P1", effect=effect("raise")))
    assert not again.applied
    down = records.raise_incident(RaiseIncident(incident_id="slow", severity="P2", effect=effect("lower")))
    assert (down.after, down.applied) == ("P1", False)
    # Who joins it has to find the run that goes on with it.
    assert [(one.incident_id, one.workflow_id) for one in read(records, "P1").items] == [
        ("slow", "p1-incident/tensafe")
    ]
