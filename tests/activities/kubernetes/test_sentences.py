"""What results say of themselves with none, one and two of a thing: a person reads it in the timeline."""

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from activities.customers.api_keys import KeyUsage
from activities.customers.churn_risk import AtRisk, TenantAtRisk
from activities.customers.tenants import AffectedTenant, AffectedTenants, ErrorLine, TenantActivity
from activities.database.integrity.contents import Contents, Difference, TableChange
from activities.database.integrity.integrity import IntegrityReport
from activities.kubernetes.nodes import Node, Nodes
from activities.kubernetes.states import Event, Events
from activities.kubernetes.workloads import WorkloadState, WorkloadStates
from activities.monitoring.health import Health, Steadiness

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)
WELL = Health(status="healthy", healthy=True, status_code=200, milliseconds=12, version="", detail="")


def contents(*rows: int | None) -> Contents:
    tables = {f"public.t{number}": each for number, each in enumerate(rows)}
    return Contents(tables=tables, last_transaction=None, checks=[], complete=True, seconds=1)


def difference(changed: int, same: int) -> Difference:
    return Difference(changed=[TableChange(table="public.t", before=1, after=2)] * changed, same=same)


def steady(checks: int) -> Steadiness:
    return Steadiness(steady=True, last=WELL, checks=checks, seconds=5, longest=5)


def events(normal: int, warnings: int) -> Events:
    one = Event(at=None, type="Normal", reason="BackOff", object="pod/a", message="", count=1)
    return Events(items=[one] * normal + [one.model_copy(update={"type": "Warning"})] * warnings)


def nodes(number: int) -> Nodes:
    return Nodes(items=[Node(name="n", ready=True, schedulable=True, allocatable=1, created_at=NOW)] * number)


def workloads(number: int) -> WorkloadStates:
    one = WorkloadState(name="a", replicas=1, ready=1, paused=False, images=[], waiting_for="")
    return WorkloadStates(items=[one] * number)


def checked(relations: int, failures: int) -> IntegrityReport:
    return IntegrityReport(
        relations=relations, checked=relations, damaged=[], checksum_failures=failures, complete=True, seconds=1
    )


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (KeyUsage(key_id="k", calls=0, refused=0, last_used_at=None), "k: 0 calls"),
        (KeyUsage(key_id="k", calls=1, refused=0, last_used_at=None), "k: 1 call"),
        (KeyUsage(key_id="k", calls=2, refused=1, last_used_at=None), "k: 2 calls, 1 refused"),
        (contents(), "0 rows in 0 tables"),
        (contents(1), "1 row in 1 table"),
        (contents(1, 1, None), "2 rows in 3 tables; 1 table not read"),
        (difference(0, 2), "0 tables differ in rows, 2 do not"),
        (difference(1, 1), "1 table differs in rows, 1 does not"),
        (difference(2, 0), "2 tables differ in rows, 0 do not"),
        (TableChange(table="t", before=2, after=1), "t: 2 → 1 row"),
        (TableChange(table="t", before=1, after=0), "t: 1 → 0 rows"),
        (AtRisk(items=[], looked_at=0), "0 of 0 tenants are at risk"),
        (AtRisk(items=[TenantAtRisk(tenant_id="a", name="A", score=50)], looked_at=1), "1 of 1 tenant is at risk"),
        (
            AtRisk(items=[TenantAtRisk(tenant_id="a", name="A", score=50)] * 2, looked_at=2),
            "2 of 2 tenants are at risk",
        ),
        (steady(1), "healthy for 5 s in 1 check"),
        (steady(2), "healthy for 5 s in 2 checks"),
        (checked(0, 0), "0 of 0 relations checked, none damaged (1.0 s)"),
        (checked(1, 1), "1 of 1 relation checked, none damaged, 1 checksum failure (1.0 s)"),
        (checked(2, 2), "2 of 2 relations checked, none damaged, 2 checksum failures (1.0 s)"),
        (events(0, 0), "0 events, no warnings"),
        (events(1, 0), "1 event, no warnings"),
        (events(2, 0), "2 events, no warnings"),
        (events(1, 1), "1 warning of 2, last: BackOff pod/a"),
        (events(0, 2), "2 warnings of 2, last: BackOff pod/a"),
        (nodes(0), "0 nodes, 0 ready, 0 units"),
        (nodes(1), "1 node, 1 ready, 1 unit"),
        (nodes(2), "2 nodes, 2 ready, 2 units"),
        (AffectedTenants(items=[]), "0 tenants"),
        (AffectedTenants(items=[AffectedTenant(tenant_id="a", contact_name="", email="")]), "1 tenant"),
        (TenantActivity(counts=[], errors=[ErrorLine(at=NOW, message="")]), "nothing; 0 failed, 1 error message"),
        (TenantActivity(counts=[], errors=[]), "nothing; 0 failed, 0 error messages"),
        (workloads(0), "0 of 0 deployments complete"),
        (workloads(1), "1 of 1 deployment complete"),
        (workloads(2), "2 of 2 deployments complete"),
    ],
    ids=str,
)
def test_a_result_says_so_as_a_person_would(said: BaseModel, text: str):
    assert str(said) == text


def test_a_difference_counts_what_it_does_not_show():
    assert difference(0, 1).lines() == ["1 table has as many rows"]
    assert difference(0, 2).lines() == ["2 tables have as many rows"]
    shown = len(difference(100, 0).lines()) - 2
    assert difference(shown + 1, 0).lines()[-2:] == ["1 more table differs", "0 tables have as many rows"]
    assert difference(shown + 2, 0).lines()[-2] == "2 more tables differ"
