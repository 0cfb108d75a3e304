"""Security incidents in the records: a table of their own, since not everybody may read them (runbook 8.1 step 3)."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Unavailable
from activities.common.text import Key, Name, Words
from activities.records.ledger import Ledger, Rows

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

SecuritySeverity = Literal["critical", "high"]


class OpenSecurityIncident(BaseModel):
    """`tensafe-admin security incident create`."""

    incident_id: Key
    service: Name
    severity: SecuritySeverity
    type: Name
    findings: Words
    nodes: list[Name]
    pods: list[Name]
    aware_at: datetime = Field(description="When people became aware of it: legal clocks run from here.")
    opened_at: datetime
    effect: Effect


class CloseSecurityIncident(BaseModel):
    """What became of it."""

    incident_id: Key
    outcome: Name
    at: datetime
    effect: Effect


class SecurityIncidents:
    """The records' security incidents; raises what `Ledger` raises."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    @activity.defn(name="security_incidents.open")
    @effect
    def open(self, request: OpenSecurityIncident) -> Change:
        """Enter it (8.1 step 3). The audit log names it and not what was found."""
        return self._ledger.once(request.effect, "security_incident.open", partial(_open, request=request))

    @activity.defn(name="security_incidents.close")
    @effect
    def close(self, request: CloseSecurityIncident) -> Change:
        """Close it.

        Raises:
            Unavailable: it is not in the records yet.

        """
        return self._ledger.once(request.effect, "security_incident.close", partial(_close, request=request))


def _open(rows: Rows, request: OpenSecurityIncident) -> Change:
    rows.execute(
        """
        INSERT INTO runbooks.security_incidents
               (incident_id, service, severity, type, findings, nodes, pods, aware_at, opened_at, opened_by,
                workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            request.incident_id,
            request.service,
            request.severity,
            request.type,
            request.findings,
            request.nodes,
            request.pods,
            request.aware_at,
            request.opened_at,
            request.effect.actor,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    return Change(target=f"security incident/{request.incident_id}", after="open", applied=True)


def _close(rows: Rows, request: CloseSecurityIncident) -> Change:
    target = f"security incident/{request.incident_id}"
    known = rows.execute(
        "SELECT closed_at, outcome FROM runbooks.security_incidents WHERE incident_id = %s FOR UPDATE",
        (request.incident_id,),
    ).fetchone()
    if known is None:
        if request.effect.dry_run:
            return Change(target=target, before="open", after=request.outcome, applied=True)
        # Its creation may still be on its way after an outage, so trying again can help.
        raise Unavailable(f"security incident {request.incident_id} is not in the records yet")
    if known["closed_at"] is not None:
        return Change(target=target, after=known["outcome"], applied=False, note="closed already")
    rows.execute(
        """
        UPDATE runbooks.security_incidents SET closed_at = greatest(%s, opened_at), outcome = %s
        WHERE incident_id = %s
        """,
        (request.at, request.outcome, request.incident_id),
    )
    return Change(target=target, before="open", after=request.outcome, applied=True)
