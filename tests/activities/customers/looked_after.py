"""Tenants that may leave, and what is done about them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from activities.customers.interventions import OpenIntervention
from tests.records_schema.fixtures import effect

NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)


def tenant(sql: psycopg.Connection[Any], name: str, *, age: int = 400, status: str = "active") -> None:
    sql.execute(
        "INSERT INTO runbooks.tenants (tenant_id, name, tier, email, created_at, status) "
        "VALUES (%s, %s, 'team', 'it@acme.test', %s, %s)",
        (name, name.title(), NOW - timedelta(days=age), status),
    )


def intervention(name: str, step: str = "open") -> OpenIntervention:
    return OpenIntervention(
        tenant_id=name, notes="Usage down", score=50, csm="carl", opened_at=NOW, effect=effect(step)
    )
