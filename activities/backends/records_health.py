"""Tenants' health in the records (runbook 5.3)."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from activities.backends.ledger import Rows

if TYPE_CHECKING:
    from activities.customer_health import CloseIntervention, OpenIntervention


def facts(rows: Rows, as_of: datetime, tenant_id: str | None) -> list[dict[str, Any]]:
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


def weeks(rows: Rows, as_of: datetime, tenant_id: str) -> list[int]:
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


def open_intervention(rows: Rows, request: "OpenIntervention") -> bool:
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
            (request.tenant_id, request.type, request.notes, request.score, request.csm, request.opened_at,
             effect.workflow_id, effect.run_id, effect.key),
        ).rowcount
    )  # fmt: skip


def close_intervention(rows: Rows, request: "CloseIntervention") -> bool:
    """Close what a run has open; False where that is nothing."""
    return bool(
        rows.execute(
            """
            UPDATE runbooks.interventions SET closed_at = %s, outcome = %s
            WHERE tenant_id = %s AND run_id = %s AND closed_at IS NULL
            """,
            (request.closed_at, request.outcome, request.tenant_id, request.opened_by),
        ).rowcount
    )
