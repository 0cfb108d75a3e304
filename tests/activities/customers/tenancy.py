"""A tenant, its users and its usage, as the tests of tenants enter them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from pydantic import SecretStr

from activities.customers.tenant_records import CreateTenant, CreateUser
from activities.handovers.links import HandoverLinks
from tests.records_schema.fixtures import effect

NOW = datetime.now(UTC)
LINKS = HandoverLinks(SecretStr("a secret of the settings"), "https://ops.example", timedelta(days=7))


def new(tenant_id: str = "acme", name: str = "Acme", **more: Any) -> CreateTenant:
    fields = {"tier": "enterprise", "contact_name": "Ada", "email": "ada@acme.test", **more}
    step = effect(f"create-{tenant_id}-{name}", dry_run=fields.pop("dry_run", False))
    return CreateTenant(tenant_id=tenant_id, name=name, effect=step, **fields)


def user(tenant_id: str = "acme", step: str = "user", email: str = "ada@acme.test") -> CreateUser:
    return CreateUser(tenant_id=tenant_id, email=email, name="Ada", handover_id=f"ho_{step:a<10}", effect=effect(step))


def used(sql: psycopg.Connection[Any], kind: str, hours_ago: float, calls: int, errors: int = 0) -> None:
    at = NOW - timedelta(hours=hours_ago)
    sql.execute("SELECT runbooks.record_usage('acme', %s, %s, %s, '', %s)", (kind, calls, errors, at))
