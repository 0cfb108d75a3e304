"""Deployments move on, and the newest of a service come first."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from activities.records.activities import Records
from activities.records.deployments import RecentDeploymentsRequest
from tests.activities.records.told import deployment
from tests.records_schema.fixtures import count


def test_a_deployment_moves_on(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    records.record_deployment(deployment("started", "s"))
    done = records.record_deployment(deployment("complete", "c"))
    assert str(done) == "deployment/tensafe-server@v1.2.4: started → complete"
    back = records.record_deployment(deployment("rolled_back", "r").model_copy(update={"reason": "errors at 5%"}))
    assert str(back) == "deployment/tensafe-server@v1.2.4: complete → rolled_back (errors at 5%)"
    assert count(records_sql, "deployments") == 1


def test_a_version_may_be_deployed_again(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    for number in range(2):
        records.record_deployment(deployment("started", f"s{number}"))
        records.record_deployment(deployment("complete", f"c{number}"))
    assert count(records_sql, "deployments") == 2


def test_a_rollback_of_what_nobody_recorded_is_recorded(records: Records) -> None:
    change = records.record_deployment(deployment("rolled_back", "r"))
    assert change.applied
    recent = records.recent_deployments(RecentDeploymentsRequest(service="tensafe-server", since=timedelta(hours=1)))
    assert [(item.version, item.status) for item in recent.items] == [("v1.2.4", "rolled_back")]


def test_recent_deployments_are_this_service_s_newest_first(records: Records) -> None:
    old = deployment("started", "old", "v1.2.2").model_copy(update={"at": datetime.now(UTC) - timedelta(hours=5)})
    records.record_deployment(old)
    for version in ("v1.2.3", "v1.2.4"):
        records.record_deployment(deployment("started", version, version))
    other = deployment("started", "other").model_copy(update={"service": "other"})
    records.record_deployment(other)
    ask = RecentDeploymentsRequest(service="tensafe-server", since=timedelta(hours=1))
    recent = records.recent_deployments(ask)
    assert [item.version for item in recent.items] == ["v1.2.4", "v1.2.3"]
    assert str(recent) == "2 recorded, latest v1.2.4 (started) by ada"
    assert len(records.recent_deployments(ask.model_copy(update={"limit": 1})).items) == 1
    nothing = records.recent_deployments(RecentDeploymentsRequest(service="none", since=timedelta(hours=1)))
    assert str(nothing) == "no recorded deployments"
