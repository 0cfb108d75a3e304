"""How likely a tenant is to leave, and what is being done about it (runbook 5.3).

The score is 0 to 100, the sum of four parts. Each has as many points as its share of the weights in settings:

- **usage**: what the tenant did a day in the last 30 days, against its own trend, the 60 days before: none for no drop,
  all from a drop of a half on; all as well where it has done nothing in 90 days. Calls with ended keys are no usage. A
  tenant younger than settings say (60 days) has no trend.
- **errors**: the share of it that failed in the last 30 days; all from 10 % on.
- **tickets**: open support tickets; all from five on.
- **renewal**: how near the end of the contract is, within 90 days; all where it is past.
"""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity

from activities.backends import records_health
from activities.backends.ledger import Ledger, Rows
from activities.catalogue import ChurnPolicy
from activities.effects import Change, Effect, effect
from activities.errors import NotFound, Refused
from audit.text import counted, noun

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from database.pool import BoundedConnection

RECENT = timedelta(days=30)
PERIOD = timedelta(days=90)
_FULL_DROP = 0.5


class HealthOf(BaseModel):
    """`tensafe-admin customer health`, `customer usage --period 90d` (5.3 steps 2 and 3)."""

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


class OpenIntervention(BaseModel):
    """`tensafe-admin customer intervention create` (5.3 step 4)."""

    tenant_id: str
    type: str = "engagement_call"
    notes: str
    score: int = Field(ge=0, le=100)
    csm: str
    opened_at: datetime
    effect: Effect


class CloseIntervention(BaseModel):
    """What came of this run's intervention."""

    tenant_id: str
    opened_by: str = Field(description="The run that opened it.")
    outcome: str = Field(min_length=1)
    closed_at: datetime
    effect: Effect


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
    """Scores tenants, and keeps interventions; raises as `activities.records.Records` does."""

    def __init__(self, pool: "ConnectionPool[BoundedConnection]") -> None:
        self._ledger = Ledger(pool)

    @activity.defn(name="customer_health.health")
    def health(self, request: HealthOf) -> ChurnRisk:
        """Score one tenant.

        Raises:
            NotFound: there is no such tenant, or it isn't active.

        """
        with self._ledger.read() as rows:
            found = records_health.facts(rows, request.as_of, request.tenant_id)
            weeks = records_health.weeks(rows, request.as_of, request.tenant_id)
        if not found:
            message = "tenant_id: there is no active tenant of that ID"
            raise NotFound(message)
        risk = score(Facts.model_validate(found[0]), request.policy, request.as_of)
        return risk.model_copy(update={"weeks": weeks})

    @activity.defn(name="customer_health.at_risk")
    def at_risk(self, request: AtRiskRequest) -> AtRisk:
        """Score all active tenants that no intervention is open for."""
        with self._ledger.read() as rows:
            found = [Facts.model_validate(row) for row in records_health.facts(rows, request.as_of, None)]
        scored = [
            TenantAtRisk(
                tenant_id=facts.tenant_id, name=facts.name, score=score(facts, request.policy, request.as_of).score
            )
            for facts in found
        ]
        risky = [tenant for tenant in scored if tenant.score >= request.policy.at_risk_above]
        return AtRisk(items=sorted(risky, key=lambda tenant: (-tenant.score, tenant.tenant_id)), looked_at=len(found))

    @activity.defn(name="customer_health.open_intervention")
    @effect
    def open_intervention(self, request: OpenIntervention) -> Change:
        """Open an intervention.

        Raises:
            Refused: one is open for this tenant.

        """

        def work(rows: Rows) -> Change:
            if not records_health.open_intervention(rows, request):
                message = f"an intervention is open for {request.tenant_id}: one at a time"
                raise Refused(message)
            return Change(target=f"intervention/{request.tenant_id}", after=f"open: {request.notes}", applied=True)

        return self._ledger.once(request.effect, "intervention.open", work)

    @activity.defn(name="customer_health.close_intervention")
    @effect
    def close_intervention(self, request: CloseIntervention) -> Change:
        """Close what a run has opened; not applied where it has nothing open."""

        def work(rows: Rows) -> Change:
            closed = records_health.close_intervention(rows, request)
            return Change(
                target=f"intervention/{request.tenant_id}", after=f"closed: {request.outcome}", applied=closed
            )  # fmt: skip

        return self._ledger.once(request.effect, "intervention.close", work)


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
