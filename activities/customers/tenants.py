"""Tenants: who they are, and what they do (runbook 5.1, 5.2 steps 1 to 3, 5.3)."""

import hashlib
import secrets
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, effect
from activities.customers import tenant_records
from activities.customers.tenant_records import (
    AssignPeople,
    CorrectAddress,
    CreateTenant,
    CreateUser,
    SetTenantStatus,
    Tier,
)
from activities.handovers.handovers import Handovers, NewHandover
from activities.records.ledger import Ledger, Rows
from audit.text import counted

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from records_schema.pool import BoundedConnection


_PASSWORD_BYTES = 12
_COST = {"n": 2**15, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}


class TenantRequest(BaseModel):
    """Which tenant."""

    tenant_id: str


class Tenant(BaseModel):
    """`tensafe-admin customer info` (5.2 step 1)."""

    tenant_id: str
    name: str
    tier: Tier
    status: Literal["active", "suspended", "closed"]
    contact_name: str
    email: str
    csm: str = Field(description="Customer success manager; empty where nobody is assigned.")
    se: str = Field(description="Solutions engineer; empty where nobody is assigned.")
    renews_on: date | None = None
    created_at: datetime

    def __str__(self) -> str:
        return f"{self.name} ({self.tenant_id}, {self.tier}, {self.status})"


class ContactsRequest(BaseModel):
    """Whom to write to."""

    tenants: list[str] | None = Field(default=None, description="Their IDs; all tenants where nothing is given.")


class Contact(BaseModel):
    """The person of a tenant."""

    tenant_id: str
    name: str
    email: str


class Contacts(BaseModel):
    """One person a tenant, by the tenants' IDs."""

    items: list[Contact]
    missing: list[str] = Field(default_factory=list, description="Tenants that were named and are none, or closed.")

    def __str__(self) -> str:
        missing = f", none of {', '.join(self.missing)}" if self.missing else ""
        return f"{counted(len(self.items), 'customer')}{missing}"


class ActivityRequest(BaseModel):
    """`tensafe-admin customer activity`, `tensafe-admin logs search` (5.2 steps 2 and 3)."""

    tenant_id: str
    since: datetime
    errors: int = Field(default=20, ge=0, le=500, description="How many of the latest messages.")


class Count(BaseModel):
    """How often a tenant did something."""

    kind: str = Field(description="api_call, training_job, login, monitoring, …")
    count: int
    errors: int
    last: datetime = Field(description="The hour it was last done in.")


class ErrorLine(BaseModel):
    """One error that the service noted for a tenant."""

    at: datetime
    message: str


class TenantActivity(BaseModel):
    """What a tenant did, most frequent first, and the latest errors."""

    counts: list[Count]
    errors: list[ErrorLine]

    def __str__(self) -> str:
        done = ", ".join(f"{count.count} × {count.kind}" for count in self.counts) or "nothing"
        failed = sum(count.errors for count in self.counts)
        return f"{done}; {failed} failed, {counted(len(self.errors), 'error message')}"


class FirstsRequest(BaseModel):
    """What a tenant has done at all."""

    tenant_id: str
    kinds: tuple[str, ...]


class Firsts(BaseModel):
    """The hour in which each kind was done first; those that weren't are not in it (5.1, day 4 to 30)."""

    at: dict[str, datetime]

    def __str__(self) -> str:
        return ", ".join(f"{kind} since {at:%F %H:%M %Z}" for kind, at in self.at.items()) or "nothing yet"


class UsedSinceRequest(BaseModel):
    """Who has used the service since a time (7.3 step 7)."""

    since: datetime


class AffectedTenant(BaseModel):
    """A tenant, and whom to write to."""

    tenant_id: str
    contact_name: str
    email: str


class AffectedTenants(BaseModel):
    """Those that are not closed, by their ID."""

    items: list[AffectedTenant]

    def __str__(self) -> str:
        return counted(len(self.items), "tenant")


class Tenants:
    """Reads and writes tenants; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[BoundedConnection]", handovers: Handovers) -> None:
        self._ledger = Ledger(pool)
        self._handovers = handovers

    @activity.defn(name="tenants.tenant")
    def tenant(self, request: TenantRequest) -> Tenant:
        """Read a tenant.

        Raises:
            NotFound: there is none of that ID; names those like it.

        """
        with self._ledger.read() as rows:
            return Tenant.model_validate(tenant_records.find(rows, request.tenant_id))

    @activity.defn(name="tenants.contacts")
    def contacts(self, request: ContactsRequest) -> Contacts:
        """Read whom to write to: one person a tenant that isn't closed."""
        with self._ledger.read() as rows:
            found = rows.execute(
                """
                SELECT tenant_id, contact_name AS name, email FROM runbooks.tenants
                WHERE status <> 'closed' AND (%(tenants)s::text[] IS NULL OR tenant_id = ANY(%(tenants)s))
                ORDER BY tenant_id
                """,
                {"tenants": request.tenants},
            ).fetchall()
        items = [Contact.model_validate(row) for row in found]
        missing = sorted(set(request.tenants or ()) - {item.tenant_id for item in items})
        return Contacts(items=items, missing=missing)

    @activity.defn(name="tenants.create")
    @effect
    def create(self, request: CreateTenant) -> Change:
        """Create a tenant.

        Raises:
            Refused: another tenant has the ID or the name.

        """
        return self._ledger.once(request.effect, "tenant.create", partial(tenant_records.create, request=request))

    @activity.defn(name="tenants.create_user")
    @effect
    def create_user(self, request: CreateUser) -> Change:
        """Create a user whose first password only the handover has; it has to be changed at once.

        Raises:
            NotFound: there is no such tenant.
            Refused: the tenant has a user of that address.

        """

        def work(rows: Rows) -> Change:
            tenant_records.find(rows, request.tenant_id, lock=True)
            handover = NewHandover(handover_id=request.handover_id, tenant_id=request.tenant_id, effect=request.effect)
            name = f"First password of {request.email}"
            password = self._handovers.keep(rows, handover, {name: secrets.token_urlsafe(_PASSWORD_BYTES)})[name]
            return tenant_records.create_user(rows, request, hashed(password))

        return self._ledger.once(request.effect, "tenant.create_user", work)

    @activity.defn(name="tenants.assign")
    @effect
    def assign(self, request: AssignPeople) -> Change:
        """Assign who looks after a tenant.

        Raises:
            NotFound: there is no such tenant.

        """
        return self._ledger.once(request.effect, "tenant.assign", partial(tenant_records.assign, request=request))

    @activity.defn(name="tenants.correct_address")
    @effect
    def correct_address(self, request: CorrectAddress) -> Change:
        """Correct the address of a tenant's contact, and of the administrator who signs in by it.

        Raises:
            NotFound: there is no such tenant.
            Refused: the tenant has another user of that address.

        """
        work = partial(tenant_records.correct_address, request=request)
        return self._ledger.once(request.effect, "tenant.correct_address", work)

    @activity.defn(name="tenants.set_status")
    @effect
    def set_status(self, request: SetTenantStatus) -> Change:
        """Suspend, close or reopen a tenant.

        Raises:
            NotFound: there is no such tenant.

        """
        work = partial(tenant_records.set_status, request=request)
        return self._ledger.once(request.effect, f"tenant.{request.status}", work)

    @activity.defn(name="tenants.recent")
    def recent(self, request: ActivityRequest) -> TenantActivity:
        """Read what a tenant did since the beginning of an hour, and the latest errors.

        Raises:
            NotFound: there is no such tenant.

        """
        with self._ledger.read() as rows:
            tenant_records.find(rows, request.tenant_id)
            counts = tenant_records.counts(rows, request.tenant_id, request.since)
            errors = tenant_records.errors(rows, request.tenant_id, request.since, request.errors)
        return TenantActivity(
            counts=[Count.model_validate(row) for row in counts],
            errors=[ErrorLine.model_validate(row) for row in errors],
        )

    @activity.defn(name="tenants.firsts")
    def firsts(self, request: FirstsRequest) -> Firsts:
        """Find out what a tenant has done for the first time."""
        with self._ledger.read() as rows:
            found = tenant_records.firsts(rows, request.tenant_id, request.kinds)
        return Firsts(at={row["kind"]: row["at"] for row in found})

    @activity.defn(name="tenants.used_since")
    def used_since(self, request: UsedSinceRequest) -> AffectedTenants:
        """Find who has used the service since the beginning of an hour: usage is counted by the hour."""
        with self._ledger.read() as rows:
            found = tenant_records.used_since(rows, request.since)
        return AffectedTenants(items=[AffectedTenant.model_validate(row) for row in found])


def hashed(password: str) -> str:
    """Hash a password with scrypt: `scrypt$n$r$p$salt$hash`, salt and hash in hex."""
    salt = secrets.token_bytes(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, **_COST)
    return f"scrypt${_COST['n']}${_COST['r']}${_COST['p']}${salt.hex()}${digest.hex()}"
