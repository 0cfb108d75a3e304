"""Tenants on a real PostgreSQL."""

import hashlib
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from activities.common.errors import NotFound, Refused
from activities.customers.tenant_records import CreateTenant, SetTenantStatus
from activities.customers.tenants import (
    ContactsRequest,
    TenantRequest,
    Tenants,
)
from tests.activities.customers.tenancy import LINKS, new, user
from tests.records_schema.fixtures import count, effect


def test_a_tenant_is_created_once_and_read_back(tenants: Tenants) -> None:
    assert tenants.create(new()).after == "created (enterprise)"
    assert not tenants.create(new()).applied
    found = tenants.tenant(TenantRequest(tenant_id="acme"))
    assert (found.name, found.status, found.csm, str(found)) == (
        "Acme",
        "active",
        "",
        "Acme (acme, enterprise, active)",
    )


@pytest.mark.parametrize("other", [new("acme", "Another"), new("acme-2", "ACME"), new("acme-3", "Three", email="x y")])
def test_what_the_records_cannot_have_is_refused(
    tenants: Tenants, records_sql: psycopg.Connection[Any], other: CreateTenant
) -> None:
    tenants.create(new())
    with pytest.raises(
        Refused, match=r"the records refuse it: (tenant|there is a customer of that (ID|name))"
    ) as raised:
        tenants.create(other)
    assert "x y" not in str(raised.value)
    assert count(records_sql, "tenants") == 1


def test_plan_mode_creates_nothing(tenants: Tenants, records_sql: psycopg.Connection[Any]) -> None:
    assert not tenants.create(new(dry_run=True)).applied
    assert count(records_sql, "tenants") == 0


def test_the_first_password_is_in_the_handover_and_its_hash_in_the_records(
    tenants: Tenants, records_sql: psycopg.Connection[Any]
) -> None:
    tenants.create(new())
    assert tenants.create_user(user()).after == "admin ada@acme.test"
    assert not tenants.create_user(user()).applied
    with records_sql.cursor(row_factory=dict_row) as rows:
        contents = LINKS.peek(rows, user().handover_id)
        row = rows.execute("SELECT password_hash, must_change FROM runbooks.tenant_users").fetchone()
    assert contents is not None
    assert row is not None
    (password,) = contents.values()
    _, n, r, p, salt, digest = row["password_hash"].split("$")
    again = hashlib.scrypt(password.encode(), salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p), maxmem=2**26)
    assert (again.hex(), row["must_change"]) == (digest, True)


def test_a_user_is_one_in_a_tenant_and_needs_one(tenants: Tenants, records_sql: psycopg.Connection[Any]) -> None:
    tenants.create(new())
    tenants.create_user(user())
    with pytest.raises(Refused, match="users are unique in a tenant"):
        tenants.create_user(user(step="another", email="ADA@acme.test"))
    with pytest.raises(NotFound):
        tenants.create_user(user("nobody", "third"))
    assert count(records_sql, "handovers") == 1


def test_whom_to_write_to_is_one_person_a_tenant_that_is_not_closed(tenants: Tenants) -> None:
    for tenant_id in ("acme", "globex", "gone"):
        tenants.create(new(tenant_id, tenant_id, email=f"{tenant_id}@example.test"))
    tenants.set_status(SetTenantStatus(tenant_id="gone", status="closed", reason="left", effect=effect("close")))
    everybody = tenants.contacts(ContactsRequest())
    assert [each.email for each in everybody.items] == ["acme@example.test", "globex@example.test"]
    some = tenants.contacts(ContactsRequest(tenants=["globex", "gone", "nobody"]))
    assert ([each.tenant_id for each in some.items], some.missing) == (["globex"], ["gone", "nobody"])
    assert str(some) == "1 customer, none of gone, nobody"
    assert tenants.contacts(ContactsRequest(tenants=[])).items == []
