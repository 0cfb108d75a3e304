"""The churn score and interventions on a real PostgreSQL."""

from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from pydantic import ValidationError

from activities.catalogue.service import ChurnPolicy, ChurnWeights
from activities.common.errors import NotFound
from activities.customers.churn_risk import (
    AtRiskRequest,
    ChurnRisk,
    CustomerHealth,
    Facts,
    HealthOf,
    score,
)
from activities.customers.interventions import Interventions
from tests.activities.customers.looked_after import NOW, intervention, tenant

POLICY = ChurnPolicy()


@pytest.fixture
def health(records_pool: ConnectionPool[Any]) -> CustomerHealth:
    return CustomerHealth(records_pool)


def used(
    sql: psycopg.Connection[Any],
    name: str,
    *,
    first: int,
    last: int,
    daily: int,
    errors: int = 0,
    kind: str = "api_call",
) -> None:
    """Let a tenant do something on each day from `first` to `last` days ago."""
    sql.execute(
        "INSERT INTO runbooks.tenant_usage (tenant_id, hour, kind, count, errors) "
        "SELECT %s, date_trunc('hour', %s - ago * interval '1 day', 'UTC'), %s, %s, %s "
        "FROM generate_series(%s::int, %s::int) ago",
        (name, NOW, kind, daily, errors, last, first),
    )


def of(health: CustomerHealth, name: str, policy: ChurnPolicy = POLICY) -> ChurnRisk:
    return health.health(HealthOf(tenant_id=name, policy=policy, as_of=NOW))


def points(risk: ChurnRisk) -> dict[str, float]:
    return {part.name: part.points for part in risk.parts if part.points}


def test_usage_down_by_half_gives_all_points_of_usage(
    health: CustomerHealth, records_sql: psycopg.Connection[Any]
) -> None:
    tenant(records_sql, "acme")
    used(records_sql, "acme", first=89, last=31, daily=100)
    used(records_sql, "acme", first=29, last=1, daily=25)
    used(records_sql, "acme", first=29, last=1, daily=1000, kind="refused_call")
    risk = of(health, "acme")
    assert points(risk) == {"usage": 50}
    assert risk.score == 50
    assert risk.weeks == [600, 700, 700, 700, 700, 700, 700, 700, 450, 175, 175, 175, 150]
    assert "usage down 75%" in str(risk)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"recent": 75 * 30, "before": 100 * 60}, {"usage": 25}),
        ({"recent": 300 * 30, "before": 100 * 60}, {}),
        ({}, {"usage": 50}),
        ({"recent": 10}, {}),
        ({"created_at": NOW - timedelta(days=59)}, {}),
        ({"created_at": NOW + timedelta(days=1)}, {}),
        ({"recent": 6000, "before": 6000, "failed": 300}, {"errors": 10}),
        ({"recent": 6000, "before": 6000, "failed": 6000}, {"errors": 20}),
        ({"recent": 6000, "before": 6000, "tickets": 2}, {"tickets": 6}),
        ({"recent": 6000, "before": 6000, "tickets": 50}, {"tickets": 15}),
        ({"recent": 6000, "before": 6000, "renews_on": date(2026, 7, 16)}, {"renewal": 7.5}),
        ({"recent": 6000, "before": 6000, "renews_on": date(2026, 5, 1)}, {"renewal": 15}),
        ({"recent": 6000, "before": 6000, "renews_on": date(2027, 5, 1)}, {}),
    ],
)
def test_each_sign_gives_its_points(facts: dict[str, object], expected: dict[str, float]) -> None:
    known = {
        "tenant_id": "acme",
        "name": "Acme",
        "created_at": NOW - timedelta(days=400),
        "renews_on": None,
        "recent": 0,
        "before": 0,
        "failed": 0,
        "tickets": 0,
    }
    assert points(score(Facts.model_validate({**known, **facts}), POLICY, NOW)) == expected


def test_weights_are_shared_out_whatever_their_sum() -> None:
    facts = Facts(
        tenant_id="acme",
        name="Acme",
        created_at=NOW - timedelta(days=400),
        renews_on=NOW.date(),
        recent=1,
        before=9999,
        failed=1,
        tickets=99,
    )
    policy = ChurnPolicy(weights=ChurnWeights(usage=3, errors=1, tickets=0, renewal=0))
    assert points(score(facts, policy, NOW)) == {"usage": 75, "errors": 25}
    assert score(facts, policy, NOW).score == 100
    with pytest.raises(ValidationError, match="at least one weight"):
        ChurnWeights(usage=0, errors=0, tickets=0, renewal=0)


def test_those_at_risk_come_in_order_without_those_looked_after_and_agree_with_their_own_score(
    health: CustomerHealth, interventions: Interventions, records_sql: psycopg.Connection[Any]
) -> None:
    for number, name in enumerate(("steady", "falling", "fallen", "looked-after", "closed", "young")):
        tenant(records_sql, name, status="closed" if name == "closed" else "active", age=20 if name == "young" else 400)
        used(records_sql, name, first=89, last=31, daily=100)
        used(records_sql, name, first=29, last=1, daily=100 if name == "steady" else 55 - 10 * number, errors=1)
    records_sql.execute("UPDATE runbooks.tenants SET renews_on = %s WHERE tenant_id = 'fallen'", (NOW.date(),))
    interventions.open(intervention("looked-after"))
    found = health.at_risk(AtRiskRequest(policy=POLICY, as_of=NOW))
    assert [item.tenant_id for item in found.items] == ["fallen", "falling"]
    assert found.looked_at == 4
    assert {item.tenant_id: item.score for item in found.items} == {
        name: of(health, name).score for name in ("fallen", "falling")
    }


def test_a_tenant_that_is_not_there_or_not_active_has_no_score(
    health: CustomerHealth, records_sql: psycopg.Connection[Any]
) -> None:
    tenant(records_sql, "closed", status="closed")
    for name in ("closed", "acne"):
        with pytest.raises(NotFound):
            of(health, name)


def test_ten_thousand_tenants_are_looked_at_in_one_go(
    health: CustomerHealth, records_sql: psycopg.Connection[Any]
) -> None:
    records_sql.execute(
        "INSERT INTO runbooks.tenants (tenant_id, name, tier, email, created_at) "
        "SELECT 't-' || n, 'T ' || n, 'team', 'it@acme.test', %s FROM generate_series(1, 10000) n",
        (NOW - timedelta(days=400),),
    )
    records_sql.execute(
        "INSERT INTO runbooks.tenant_usage (tenant_id, hour, kind, count) "
        "SELECT 't-' || n, date_trunc('hour', %s - ago * interval '10 days', 'UTC'), 'api_call', 10 "
        "FROM generate_series(1, 10000) n, generate_series(1, 8) ago",
        (NOW,),
    )
    records_sql.execute(
        "DELETE FROM runbooks.tenant_usage WHERE tenant_id = 't-77' AND hour > %s", (NOW - timedelta(30),)
    )
    found = health.at_risk(AtRiskRequest(policy=POLICY, as_of=NOW))
    assert found.looked_at == 10_000
    assert [item.tenant_id for item in found.items] == ["t-77"]
