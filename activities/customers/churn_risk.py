"""How likely a tenant is to leave (runbook 5.3 steps 1 to 3).

The score is 0 to 100, the sum of four parts. Each has as many points as its share of the weights in settings:

- **usage**: what the tenant did a day in the last 30 days, against its own trend, the 60 days before: none for no drop,
  all from a drop of a half on; all as well where it has done nothing in 90 days. Calls with ended keys are no usage. A
  tenant younger than settings say (60 days) has no trend.
- **errors**: the share of it that failed in the last 30 days; all from 10 % on.
- **tickets**: open support tickets; all from five on.
- **renewal**: how near the end of the contract is, within 90 days; all where it is past.
"""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.catalogue.service import ChurnPolicy
from activities.common.errors import NotFound
from activities.records.ledger import Ledger, Rows
from audit.text import counted, noun

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from records_schema.pool import BoundedConnection

RECENT = timedelta(days=30)
PERIOD = timedelta(days=90)
_FULL_DROP = 0.5


class HealthOf(BaseModel):
    """`tensafe-admin customer health`, `tensafe-admin customer usage --period 90d` (5.3 steps 2 and 3)."""

    tenant_id: str
    policy: ChurnPolicy
    as_of: datetime


class AtRiskRequest(BaseModel):
    """`tensafe-admin customer at-risk` (5.3 step 1)."""

    policy: ChurnPolicy
    as_of: datetime


class Part(BaseModel):
    """One sign, and what it gives."""

    name: str
    points: float
    of: float = Field(description="The most it can give.")
    says: str


class ChurnRisk(BaseModel):
    """A tenant's score, and what it is made of."""

    tenant_id: str
    score: int = Field(ge=0, le=100)
    parts: list[Part]
    weeks: list[int] = Field(
        default_factory=list, description="What it did in each of the last 13 weeks, oldest first."
    )

    def __str__(self) -> str:
        return f"{self.score} of 100: {'; '.join(part.says for part in self.parts)}"


class TenantAtRisk(BaseModel):
    """One line of the list."""

    tenant_id: str
    name: str
    score: int

    def __str__(self) -> str:
        return f"{self.name} ({self.tenant_id}) {self.score}"


class AtRisk(BaseModel):
    """Tenants whose score is as high as settings say or higher, highest first, without those being looked after."""

    items: list[TenantAtRisk]
    looked_at: int

    def __str__(self) -> str:
        return f"{len(self.items)} of {counted(self.looked_at, 'tenant')} {noun(len(self.items), 'is', 'are')} at risk"


class Facts(BaseModel):
    """What the score is made from."""

    tenant_id: str
    name: str
    created_at: datetime
    renews_on: date | None
    recent: int
    before: int
    failed: int
    tickets: int


class CustomerHealth:
    """Scores tenants; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[BoundedConnection]") -> None:
        self._ledger = Ledger(pool)

    @activity.defn(name="customer_health.health")
    def health(self, request: HealthOf) -> ChurnRisk:
        """Score one tenant.

        Raises:
            NotFound: there is no such tenant, or it isn't active.

        """
        with self._ledger.read() as rows:
            found = _facts(rows, request.as_of, request.tenant_id)
            weeks = _weeks(rows, request.as_of, request.tenant_id)
        if not found:
            raise NotFound("tenant_id: there is no active tenant of that ID")
        risk = score(Facts.model_validate(found[0]), request.policy, request.as_of)
        return risk.model_copy(update={"weeks": weeks})

    @activity.defn(name="customer_health.at_risk")
    def at_risk(self, request: AtRiskRequest) -> AtRisk:
        """Score all active tenants that no intervention is open for."""
        with self._ledger.read() as rows:
            found = [Facts.model_validate(row) for row in _facts(rows, request.as_of, None)]
        scored = [
            TenantAtRisk(
                tenant_id=facts.tenant_id, name=facts.name, score=score(facts, request.policy, request.as_of).score
            )
            for facts in found
        ]
        risky = [tenant for tenant in scored if tenant.score >= request.policy.at_risk_above]
        return AtRisk(items=sorted(risky, key=lambda tenant: (-tenant.score, tenant.tenant_id)), looked_at=len(found))


def score(facts: Facts, policy: ChurnPolicy, as_of: datetime) -> ChurnRisk:
    """Compute the score, as this module's description says."""
    weights = policy.weights
    total = weights.usage + weights.errors + weights.tickets + weights.renewal
    parts = [
        _part("usage", weights.usage / total, *_usage(facts, policy, as_of)),
        _part("errors", weights.errors / total, *_errors(facts, policy)),
        _part(
            "tickets",
            weights.tickets / total,
            facts.tickets / policy.full_tickets,
            counted(facts.tickets, "open ticket"),
        ),
        _part("renewal", weights.renewal / total, *_renewal(facts, policy, as_of)),
    ]
    return ChurnRisk(tenant_id=facts.tenant_id, score=round(sum(part.points for part in parts)), parts=parts)


def _part(name: str, weight: float, share: float, says: str) -> Part:
    most = 100 * weight
    return Part(name=name, points=round(most * min(max(share, 0), 1), 2), of=round(most, 2), says=says)


def _usage(facts: Facts, policy: ChurnPolicy, as_of: datetime) -> tuple[float, str]:
    age = as_of - facts.created_at
    if age < max(policy.grace_after_creation, RECENT + timedelta(days=1)):
        return 0, f"no trend yet after {counted(max(age.days, 0), 'day')}"
    recent = facts.recent / RECENT.days
    before = facts.before / min((PERIOD - RECENT).days, (age - RECENT).days)
    if not facts.before:
        return (0, f"usage has begun: {recent:.1f} a day") if facts.recent else (1, "no usage in 90 days")
    drop = 1 - recent / before
    direction = f"down {drop:.0%}" if drop > 0 else f"up {-drop:.0%}"
    return drop / _FULL_DROP, f"usage {direction} ({before:.1f} → {recent:.1f} a day)"


def _errors(facts: Facts, policy: ChurnPolicy) -> tuple[float, str]:
    rate = facts.failed / facts.recent if facts.recent else 0.0
    return rate / policy.full_error_rate, f"{rate:.1%} failed"


def _renewal(facts: Facts, policy: ChurnPolicy, as_of: datetime) -> tuple[float, str]:
    if facts.renews_on is None:
        return 0, "no renewal date"
    left = (facts.renews_on - as_of.date()).days
    says = f"renewal in {counted(left, 'day')}" if left >= 0 else f"renewal {counted(-left, 'day')} overdue"
    return 1 - left / (policy.renewal_within / timedelta(days=1)), says


def _facts(rows: Rows, as_of: datetime, tenant_id: str | None) -> list[dict[str, Any]]:
    """Read what the score is made from: of one active tenant, or of all that no intervention is open for."""
    return rows.execute(
        """
        WITH looked_at AS (
            SELECT tenant_id, name, created_at, renews_on FROM runbooks.tenants t
            WHERE status = 'active' AND CASE WHEN %(tenant_id)s::text IS NOT NULL THEN tenant_id = %(tenant_id)s
                ELSE NOT EXISTS (SELECT FROM runbooks.interventions i
                                 WHERE i.tenant_id = t.tenant_id AND i.closed_at IS NULL) END
        ), usage AS (
            SELECT tenant_id,
                   sum(count) FILTER (WHERE hour >= %(as_of)s - interval '30 days') AS recent,
                   sum(count) FILTER (WHERE hour < %(as_of)s - interval '30 days') AS before,
                   sum(errors) FILTER (WHERE hour >= %(as_of)s - interval '30 days') AS failed
            FROM runbooks.tenant_usage
            WHERE hour >= %(as_of)s - interval '90 days' AND hour < %(as_of)s AND kind <> 'refused_call'
              AND tenant_id = coalesce(%(tenant_id)s, tenant_id)
            GROUP BY tenant_id
        ), tickets AS (
            SELECT tenant_id, count(*) AS tickets FROM runbooks.support_tickets WHERE status = 'open' GROUP BY tenant_id
        )
        SELECT tenant_id, name, created_at, renews_on, coalesce(recent, 0)::bigint AS recent,
               coalesce(before, 0)::bigint AS before, coalesce(failed, 0)::bigint AS failed,
               coalesce(tickets, 0) AS tickets
        FROM looked_at LEFT JOIN usage USING (tenant_id) LEFT JOIN tickets USING (tenant_id)
        """,
        {"as_of": as_of, "tenant_id": tenant_id},
    ).fetchall()


def _weeks(rows: Rows, as_of: datetime, tenant_id: str) -> list[int]:
    """Count what a tenant did in each of the 13 weeks before a time, oldest first."""
    found = rows.execute(
        """
        SELECT coalesce(sum(count), 0)::bigint AS count
        FROM generate_series(13, 1, -1) AS ago
        LEFT JOIN runbooks.tenant_usage ON tenant_id = %(tenant_id)s AND kind <> 'refused_call'
              AND hour >= %(as_of)s - ago * interval '7 days' AND hour < %(as_of)s - (ago - 1) * interval '7 days'
        GROUP BY ago ORDER BY ago DESC
        """,
        {"as_of": as_of, "tenant_id": tenant_id},
    ).fetchall()
    return [row["count"] for row in found]
