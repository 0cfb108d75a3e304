"""What is being done about tenants who may leave: one intervention at a time each (runbook 5.3 steps 4 and 5)."""

from datetime import datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Refused
from activities.common.text import Key, ToldLine
from activities.records.ledger import Ledger, Rows

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from records_schema.pool import BoundedConnection


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
    opening: str = Field(default="", description="Key of the effect that opened it, which a reset doesn't change.")
    outcome: str = Field(min_length=1)
    closed_at: datetime
    effect: Effect


class LivingIntervention(BaseModel):
    """One that isn't closed, and the run that looks after it."""

    tenant_id: Key
    opened_at: datetime
    workflow_id: ToldLine
    effect_key: ToldLine


class Interventions:
    """Keeps them; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[BoundedConnection]") -> None:
        self._ledger = Ledger(pool)

    @activity.defn(name="customer_health.open_intervention")
    @effect
    def open(self, request: OpenIntervention) -> Change:
        """Open an intervention.

        Raises:
            Refused: one is open for this tenant.

        """

        def work(rows: Rows) -> Change:
            if not _open(rows, request):
                raise Refused(f"an intervention is open for {request.tenant_id}: one at a time")
            return Change(target=f"intervention/{request.tenant_id}", after=f"open: {request.notes}", applied=True)

        return self._ledger.once(request.effect, "intervention.open", work)

    @activity.defn(name="customer_health.close_intervention")
    @effect
    def close(self, request: CloseIntervention) -> Change:
        """Close what a run has opened; not applied where it has nothing open."""

        def work(rows: Rows) -> Change:
            closed = _close(rows, request)
            return Change(
                target=f"intervention/{request.tenant_id}", after=f"closed: {request.outcome}", applied=closed
            )

        return self._ledger.once(request.effect, "intervention.close", work)

    def living(self) -> list[LivingIntervention]:
        """Read those that are not closed, the oldest first."""
        with self._ledger.read() as rows:
            found = rows.execute(
                """
                SELECT tenant_id, opened_at, workflow_id, effect_key FROM runbooks.interventions
                WHERE closed_at IS NULL ORDER BY opened_at, tenant_id
                """
            ).fetchall()
        return [LivingIntervention.model_validate(row) for row in found]


def _open(rows: Rows, request: OpenIntervention) -> bool:
    """Open one; False where one is open."""
    effect = request.effect
    return bool(
        rows.execute(
            """
            INSERT INTO runbooks.interventions
                   (tenant_id, type, notes, score, csm, opened_at, workflow_id, run_id, effect_key)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (tenant_id) WHERE closed_at IS NULL DO NOTHING
            """,
            (
                request.tenant_id,
                request.type,
                request.notes,
                request.score,
                request.csm,
                request.opened_at,
                effect.workflow_id,
                effect.run_id,
                effect.key,
            ),
        ).rowcount
    )


def _close(rows: Rows, request: CloseIntervention) -> bool:
    """Close what a run has open; False where that is nothing."""
    return bool(
        rows.execute(
            """
            UPDATE runbooks.interventions SET closed_at = %s, outcome = %s
            WHERE tenant_id = %s AND (run_id = %s OR effect_key = %s) AND closed_at IS NULL
            """,
            (request.closed_at, request.outcome, request.tenant_id, request.opened_by, request.opening),
        ).rowcount
    )
