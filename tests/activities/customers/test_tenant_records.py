"""What the records keep of a tenant, and what they find again, on a real PostgreSQL."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from pydantic import ValidationError

from activities.common.errors import NotFound, Refused
from activities.customers.tenant_records import AssignPeople, CorrectAddress, SetTenantStatus
from activities.customers.tenants import (
    ActivityRequest,
    FirstsRequest,
    TenantRequest,
    Tenants,
    UsedSinceRequest,
)
from tests.activities.customers.tenancy import NOW, new, used, user
from tests.records_schema.fixtures import effect


@pytest.mark.parametrize("tenant_id", ["", "A", "-a", "a b", "a/b", "ä1", "a" * 64])
def test_an_id_that_would_not_do_in_a_workflow_id_is_none(tenant_id: str) -> None:
    with pytest.raises(ValidationError):
        new(tenant_id)


def test_an_unknown_tenant_is_told_with_those_like_it(tenants: Tenants) -> None:
    tenants.create(new("acme-eu"))
    with pytest.raises(NotFound, match=r"no such tenant\. Like it: acme-eu"):
        tenants.tenant(TenantRequest(tenant_id="acme-us"))
    with pytest.raises(NotFound, match=r"no such tenant$"):
        tenants.recent(ActivityRequest(tenant_id="zeta", since=NOW))


def test_a_corrected_address_is_the_administrators_too_and_no_other_users(
    tenants: Tenants, records_sql: psycopg.Connection[Any]
) -> None:
    tenants.create(new())
    tenants.create_user(user())
    tenants.create_user(user(step="another", email="grace@acme.test"))

    def corrected(after: str, before: str = "ADA@acme.test") -> CorrectAddress:
        return CorrectAddress(tenant_id="acme", before=before, after=after, effect=effect(f"to-{after}"))

    assert tenants.correct_address(corrected("lovelace@acme.test")).before == "ada@acme.test"
    assert not tenants.correct_address(corrected("lovelace@acme.test")).applied
    with pytest.raises(Refused, match="users are unique in a tenant"):
        tenants.correct_address(corrected("grace@acme.test", before="lovelace@acme.test"))
    users = records_sql.execute("SELECT email FROM runbooks.tenant_users ORDER BY 1").fetchall()
    assert users == [("grace@acme.test",), ("lovelace@acme.test",)]
    assert tenants.tenant(TenantRequest(tenant_id="acme")).email == "lovelace@acme.test"


def test_people_are_assigned_one_by_one(tenants: Tenants) -> None:
    tenants.create(new())
    csm = tenants.assign(AssignPeople(tenant_id="acme", csm="grace", effect=effect("csm")))
    assert (csm.before, csm.after) == ("CSM nobody, SE nobody", "CSM grace, SE nobody")
    assert tenants.assign(AssignPeople(tenant_id="acme", se="alan", effect=effect("se"))).after == "CSM grace, SE alan"
    assert not tenants.assign(AssignPeople(tenant_id="acme", csm="grace", effect=effect("same"))).applied


def test_a_tenant_is_suspended_and_reopened(tenants: Tenants) -> None:
    tenants.create(new())
    for status in ("suspended", "active"):
        change = SetTenantStatus(tenant_id="acme", status=status, reason="asked", effect=effect(status))
        assert tenants.set_status(change).applied
        assert tenants.tenant(TenantRequest(tenant_id="acme")).status == status


def test_activity_is_of_the_time_asked_for(tenants: Tenants, records_sql: psycopg.Connection[Any]) -> None:
    tenants.create(new())
    used(records_sql, "api_call", 1, 10, 2)
    used(records_sql, "api_call", 2, 5)
    used(records_sql, "training_job", 3, 1)
    used(records_sql, "api_call", 30, 1000)
    for hours, message in ((1, "late"), (2, "early"), (30, "long ago")):
        records_sql.execute(
            "INSERT INTO runbooks.tenant_errors (tenant_id, at, message) VALUES ('acme', %s, %s)",
            (NOW - timedelta(hours=hours), message),
        )
    done = tenants.recent(ActivityRequest(tenant_id="acme", since=NOW - timedelta(hours=24)))
    assert [(one.kind, one.count, one.errors) for one in done.counts] == [("api_call", 15, 2), ("training_job", 1, 0)]
    assert [line.message for line in done.errors] == ["late", "early"]
    assert str(done) == "15 × api_call, 1 × training_job; 2 failed, 2 error messages"
    one = tenants.recent(ActivityRequest(tenant_id="acme", since=NOW - timedelta(hours=24), errors=1))
    assert [line.message for line in one.errors] == ["late"]


def test_firsts_are_the_first_hours_of_what_was_done(tenants: Tenants, records_sql: psycopg.Connection[Any]) -> None:
    tenants.create(new())
    request = FirstsRequest(tenant_id="acme", kinds=("api_call", "training_job"))
    assert str(tenants.firsts(request)) == "nothing yet"
    used(records_sql, "api_call", 5, 1)
    used(records_sql, "api_call", 50, 1)
    used(records_sql, "login", 60, 1)
    first = (NOW - timedelta(hours=50)).replace(minute=0, second=0, microsecond=0)
    assert tenants.firsts(request).at == {"api_call": first}


def test_who_has_used_the_service_since_is_found_and_who_has_left_is_not(
    tenants: Tenants, records_sql: psycopg.Connection[Any]
) -> None:
    for name in ("acme", "globex", "initech"):
        tenants.create(new(name, name.title()))
    used(records_sql, "api_call", 0.5, 3)
    records_sql.execute("SELECT runbooks.record_usage('globex', 'api_call', 1, 0, '', %s)", (NOW - timedelta(hours=9),))
    records_sql.execute("SELECT runbooks.record_usage('initech', 'api_call')")
    closing = SetTenantStatus(tenant_id="initech", status="closed", reason="left", effect=effect("close"))
    tenants.set_status(closing)
    found = tenants.used_since(UsedSinceRequest(since=NOW - timedelta(hours=2)))
    assert [(one.tenant_id, one.email) for one in found.items] == [("acme", "ada@acme.test")]
    assert str(found) == "1 tenant"
