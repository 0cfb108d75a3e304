"""Tenants in the records: what is asked, and its SQL (runbook 5.1)."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from activities.common.effects import Change, Effect
from activities.common.errors import NotFound
from activities.records.ledger import Rows

Tier = Literal["starter", "team", "enterprise"]
TENANT_ID = r"^[a-z0-9][a-z0-9-]{1,62}$"


class CreateTenant(BaseModel):
    """`tensafe-admin tenant create` (5.1, day 0)."""

    tenant_id: str = Field(pattern=TENANT_ID, description="Chosen by the workflow.")
    name: str
    tier: Tier
    contact_name: str
    email: str
    renews_on: date | None = None
    effect: Effect


class CreateUser(BaseModel):
    """The tenant's first administrator (5.1, day 0); its first password goes into a handover."""

    tenant_id: str
    email: str
    name: str
    role: Literal["admin", "member"] = "admin"
    handover_id: str
    effect: Effect


class AssignPeople(BaseModel):
    """Who looks after a tenant (5.1, day 1 to 3); None leaves it as it is."""

    tenant_id: str
    csm: str | None = None
    se: str | None = None
    effect: Effect


class CorrectAddress(BaseModel):
    """The address that a tenant's contact and administrator was given is another one (5.1, day 0)."""

    tenant_id: str
    before: str
    after: str
    effect: Effect


class SetTenantStatus(BaseModel):
    """Suspend, close or reopen a tenant; its keys are refused while it isn't active."""

    tenant_id: str
    status: Literal["active", "suspended", "closed"]
    reason: str
    effect: Effect


def find(rows: Rows, tenant_id: str, *, lock: bool = False) -> dict[str, Any]:
    """Read a tenant.

    Raises:
        NotFound: there is none of that ID; names those like it.

    """
    query = "SELECT * FROM runbooks.tenants WHERE tenant_id = %s"
    row = rows.execute(query + " FOR UPDATE" if lock else query, (tenant_id,)).fetchone()
    if row is not None:
        return row
    like = rows.execute(
        """
        SELECT tenant_id FROM runbooks.tenants
        WHERE starts_with(tenant_id, left(%(id)s, 3)) OR lower(name) = lower(%(id)s)
        ORDER BY tenant_id LIMIT 5
        """,
        {"id": tenant_id},
    ).fetchall()
    hint = f". Like it: {', '.join(row['tenant_id'] for row in like)}" if like else ""
    raise NotFound(f"tenant_id: there is no such tenant{hint}")


def create(rows: Rows, request: CreateTenant) -> Change:
    """Create a tenant."""
    effect = request.effect
    rows.execute(
        """
        INSERT INTO runbooks.tenants
               (tenant_id, name, tier, contact_name, email, renews_on, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            request.tenant_id,
            request.name,
            request.tier,
            request.contact_name,
            request.email,
            request.renews_on,
            effect.workflow_id,
            effect.run_id,
            effect.key,
        ),
    )
    return Change(target=f"tenant/{request.tenant_id}", after=f"created ({request.tier})", applied=True)


def create_user(rows: Rows, request: CreateUser, password_hash: str) -> Change:
    """Create a user."""
    effect = request.effect
    rows.execute(
        """
        INSERT INTO runbooks.tenant_users (tenant_id, email, name, role, password_hash, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            request.tenant_id,
            request.email,
            request.name,
            request.role,
            password_hash,
            effect.workflow_id,
            effect.run_id,
            effect.key,
        ),
    )
    return Change(target=f"tenant/{request.tenant_id}", after=f"{request.role} {request.email}", applied=True)


def assign(rows: Rows, request: AssignPeople) -> Change:
    """Assign who looks after a tenant."""
    before = find(rows, request.tenant_id, lock=True)
    csm = before["csm"] if request.csm is None else request.csm
    se = before["se"] if request.se is None else request.se
    rows.execute("UPDATE runbooks.tenants SET csm = %s, se = %s WHERE tenant_id = %s", (csm, se, request.tenant_id))
    was, now = _people(before["csm"], before["se"]), _people(csm, se)
    return Change(target=f"tenant/{request.tenant_id}", before=was, after=now, applied=was != now)


def correct_address(rows: Rows, request: CorrectAddress) -> Change:
    """Write to another address, and let the administrator sign in by it."""
    before = find(rows, request.tenant_id, lock=True)["email"]
    rows.execute("UPDATE runbooks.tenants SET email = %s WHERE tenant_id = %s", (request.after, request.tenant_id))
    rows.execute(
        "UPDATE runbooks.tenant_users SET email = %s WHERE tenant_id = %s AND lower(email) = lower(%s)",
        (request.after, request.tenant_id, request.before),
    )
    return Change(
        target=f"tenant/{request.tenant_id}", before=before, after=request.after, applied=before != request.after
    )


def set_status(rows: Rows, request: SetTenantStatus) -> Change:
    """Suspend, close or reopen a tenant."""
    before = find(rows, request.tenant_id, lock=True)["status"]
    rows.execute("UPDATE runbooks.tenants SET status = %s WHERE tenant_id = %s", (request.status, request.tenant_id))
    return Change(
        target=f"tenant/{request.tenant_id}",
        before=before,
        after=request.status,
        applied=before != request.status,
        note=request.reason,
    )


def counts(rows: Rows, tenant_id: str, since: datetime) -> list[dict[str, Any]]:
    """Count what a tenant did, most frequent first."""
    return rows.execute(
        """
        SELECT kind, sum(count)::bigint AS count, sum(errors)::bigint AS errors, max(hour) AS last
        FROM runbooks.tenant_usage
        WHERE tenant_id = %s AND hour >= date_trunc('hour', %s::timestamptz, 'UTC')
        GROUP BY kind ORDER BY 2 DESC, kind
        """,
        (tenant_id, since),
    ).fetchall()


def errors(rows: Rows, tenant_id: str, since: datetime, limit: int) -> list[dict[str, Any]]:
    """Read the latest errors, newest first."""
    return rows.execute(
        """
        SELECT at, message FROM runbooks.tenant_errors WHERE tenant_id = %s AND at >= %s
        ORDER BY at DESC, id DESC LIMIT %s
        """,
        (tenant_id, since, limit),
    ).fetchall()


def firsts(rows: Rows, tenant_id: str, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    """Find the first hour of each kind."""
    return rows.execute(
        """
        SELECT kind, min(hour) AS at FROM runbooks.tenant_usage
        WHERE tenant_id = %s AND kind = ANY(%s) AND count > 0 GROUP BY kind ORDER BY 2
        """,
        (tenant_id, list(kinds)),
    ).fetchall()


def used_since(rows: Rows, since: datetime) -> list[dict[str, Any]]:
    """Find the tenants with usage since the beginning of an hour, and whom to write to."""
    return rows.execute(
        """
        SELECT tenant_id, contact_name, email FROM runbooks.tenants t
        WHERE status <> 'closed' AND EXISTS (
            SELECT FROM runbooks.tenant_usage u
            WHERE u.tenant_id = t.tenant_id AND u.hour >= date_trunc('hour', %s::timestamptz, 'UTC') AND u.count > 0)
        ORDER BY tenant_id
        """,
        (since,),
    ).fetchall()


def _people(csm: str, se: str) -> str:
    return f"CSM {csm or 'nobody'}, SE {se or 'nobody'}"
