"""API keys of tenants (runbook 5.1, 8.2): made once, handed over once, kept as a hash.

A key is `KEY_ID.SECRET`. The ID is no secret and is what runs, people and records speak of; the secret is made inside
the effect that issues the key, and goes from there to its handover only.
"""

import hashlib
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import NotFound, Refused
from activities.handovers.handovers import Handovers, NewHandover
from activities.records.ledger import Ledger, Rows
from audit.text import counted

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from records_schema.pool import BoundedConnection

KEY_ID = r"^tsk_[a-z0-9]{8,40}$"
_SECRET_BYTES = 32
_COLUMNS = """
    k.key_id, k.tenant_id, k.created_at, k.expires_at, k.revoked_at, k.last_used_at, k.replaces,
    CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= clock_timestamp() THEN 'expired'
         WHEN k.expires_at IS NOT NULL THEN 'deprecated' ELSE 'active' END AS status
"""


class ApiKey(BaseModel):
    """One key, without its secret."""

    key_id: str
    tenant_id: str
    status: Literal["active", "deprecated", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None = Field(default=None, description="Until when a deprecated key works.")
    revoked_at: datetime | None = None
    last_used_at: datetime | None = Field(default=None, description="To the minute.")
    replaces: str | None = None


class KeysRequest(BaseModel):
    """Whose keys."""

    tenant_id: str


class Keys(BaseModel):
    """A tenant's keys, oldest first."""

    items: list[ApiKey]

    def __str__(self) -> str:
        return ", ".join(f"{key.key_id} ({key.status})" for key in self.items) or "no keys"

    def named(self, key_id: str) -> ApiKey | None:
        """Find a key by its ID."""
        return next((key for key in self.items if key.key_id == key_id), None)

    def successor_of(self, key_id: str) -> ApiKey | None:
        """Find the living key that has taken a key's place."""
        return next((key for key in self.items if key.replaces == key_id and key.status != "revoked"), None)

    def leaked(self, key_id: str | None) -> tuple[ApiKey, ApiKey] | None:
        """Give a compromised key that works on though it has a successor, and that successor, which is to be kept.

        None where the key has none: then it is rotated.

        Raises:
            Refused: none is named, and there are several that work.

        """
        alive = [key for key in self.items if key.status in {"active", "deprecated"}]
        if key_id is None and len(alive) > 1:
            raise Refused(f"key_id: name the compromised one of {', '.join(key.key_id for key in alive)}")
        key = next((key for key in alive if key.key_id == key_id), None)
        successor = self.successor_of(key.key_id) if key is not None else None
        return (key, successor) if key is not None and successor is not None else None

    def to_rotate(self, key_id: str | None) -> ApiKey:
        """Choose the key that is to be replaced: the named one, or the only active one.

        Raises:
            Refused: there is none, there are several, it has ended, or it has a successor.

        """
        active = [key for key in self.items if key.status == "active"]
        chosen = [key for key in self.items if key.key_id == key_id] if key_id else active
        if len(chosen) != 1:
            several = ", ".join(key.key_id for key in active)
            raise Refused(
                f"key_id: name one of the active keys: {several}" if active else "key_id: there is no active key"
            )
        key = chosen[0]
        if (successor := self.successor_of(key.key_id)) is not None:
            raise Refused(f"key_id: {key.key_id} has been replaced already, by {successor.key_id}: rotate that one")
        if key.status in {"revoked", "expired"}:
            raise Refused(f"key_id: {key.key_id} is {key.status} already")
        return key


class IssueKey(BaseModel):
    """`tensafe-admin apikey create`, `tensafe-admin apikey rotate` (5.1, 8.2 step 1)."""

    key_id: str = Field(pattern=KEY_ID, description="Chosen by the workflow.")
    tenant_id: str
    replaces: str | None = Field(default=None, description="The key that this one is to follow.")
    revoke_replaced: bool = Field(
        default=False, description="Compromised: it ends in the moment in which the new one begins."
    )
    handover_id: str
    effect: Effect


class DeprecateKey(BaseModel):
    """`tensafe-admin apikey deprecate` (8.2 step 3); again with another time moves the end."""

    key_id: str
    until: datetime | None = Field(description="None takes the deprecation back.")
    effect: Effect


class RevokeKey(BaseModel):
    """`tensafe-admin apikey revoke` (8.2 step 5)."""

    key_id: str
    reason: str
    if_replaced: bool = Field(
        default=False, description="Only where the records know of a key that has taken its place, living or revoked."
    )
    effect: Effect


class UsageRequest(BaseModel):
    """`tensafe-admin apikey usage` (8.2 step 4)."""

    key_id: str
    since: datetime = Field(description="From the beginning of its hour.")


class KeyUsage(BaseModel):
    """What was done with a key."""

    key_id: str
    calls: int
    refused: int = Field(description="Calls with it after it had ended.")
    last_used_at: datetime | None

    def __str__(self) -> str:
        last = f", last {self.last_used_at:%Y-%m-%d %H:%M %Z}" if self.last_used_at else ""
        return (
            f"{self.key_id}: {counted(self.calls, 'call')}{last}{f', {self.refused} refused' if self.refused else ''}"
        )


class VerifyRequest(BaseModel):
    """Whether the check accepts a key, as the service would ask it."""

    key_id: str
    handover_id: str | None = Field(default=None, description="Where its secret still is, if nobody has taken it.")


class Verdict(BaseModel):
    """What the check says."""

    key_id: str
    accepted: bool
    reason: str = Field(description="Why it is refused.")
    presented: bool = Field(description="The whole key was presented; else the rule alone was asked.")

    def __str__(self) -> str:
        verdict = "accepted" if self.accepted else f"refused ({self.reason})"
        return f"{self.key_id} is {verdict}{'' if self.presented else ', by the rule'}"


class ApiKeys:
    """Issues, deprecates, revokes and checks keys; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[BoundedConnection]", handovers: Handovers) -> None:
        self._ledger = Ledger(pool)
        self._handovers = handovers

    @activity.defn(name="api_keys.of_tenant")
    def of_tenant(self, request: KeysRequest) -> Keys:
        """List a tenant's keys, ended ones too."""
        with self._ledger.read() as rows:
            found = rows.execute(
                f"SELECT {_COLUMNS} FROM runbooks.api_keys k WHERE tenant_id = %s ORDER BY created_at, key_id",  # noqa: S608
                (request.tenant_id,),
            ).fetchall()
        return Keys(items=[ApiKey.model_validate(row) for row in found])

    @activity.defn(name="api_keys.issue")
    @effect
    def issue(self, request: IssueKey) -> Change:
        """Make a key, keep its hash, and its secret for the customer alone; all of it or nothing.

        Raises:
            NotFound: there is no such tenant, or no key to replace.
            Refused: the key to replace has a successor already, or isn't this tenant's.

        """

        def work(rows: Rows) -> Change:
            _issuable(rows, request)
            handover = NewHandover(handover_id=request.handover_id, tenant_id=request.tenant_id, effect=request.effect)
            fresh = {request.key_id: f"{request.key_id}.{secrets.token_urlsafe(_SECRET_BYTES)}"}
            key = self._handovers.keep(rows, handover, fresh)[request.key_id]
            _insert(rows, request, hashlib.sha256(key.encode()).digest())
            note = f"follows {request.replaces}" if request.replaces else ""
            if request.replaces and request.revoke_replaced:
                _revoke(rows, request.replaces, "compromised")
                note += ", which is revoked"
            return Change(target=f"api-key/{request.key_id}", after="issued", applied=True, note=note)

        return self._ledger.once(request.effect, "api_key.issue", work)

    @activity.defn(name="api_keys.deprecate")
    @effect
    def deprecate(self, request: DeprecateKey) -> Change:
        """Let a key end at a time; the check itself refuses it from then on.

        Raises:
            NotFound: there is no such key.
            Refused: it has ended already.

        """

        def work(rows: Rows) -> Change:
            key = _locked(rows, request.key_id)
            if key.status in {"revoked", "expired"}:
                raise Refused(f"{key.key_id} is {key.status} already: it can't be deprecated")
            rows.execute("UPDATE runbooks.api_keys SET expires_at = %s WHERE key_id = %s", (request.until, key.key_id))
            return Change(
                target=f"api-key/{key.key_id}",
                before=_shown(key.expires_at),
                after=_shown(request.until),
                applied=key.expires_at != request.until,
            )

        return self._ledger.once(request.effect, "api_key.deprecate", work)

    @activity.defn(name="api_keys.revoke")
    @effect
    def revoke(self, request: RevokeKey) -> Change:
        """End a key now and for good; not applied where it is revoked.

        Raises:
            NotFound: there is no such key.
            Refused: it is to end only where it was replaced, and the records know of no key in its place.

        """

        def work(rows: Rows) -> Change:
            key = _locked(rows, request.key_id)
            # Restored records may know nothing of the new key that the run has issued.
            if request.if_replaced and not _replaced(rows, key.key_id):
                raise Refused(f"the records know of no key in the place of {key.key_id}: were they restored?")
            _revoke(rows, key.key_id, request.reason)
            before = "revoked" if key.revoked_at else _shown(key.expires_at)
            applied = key.revoked_at is None
            return Change(
                target=f"api-key/{key.key_id}", before=before, after="revoked", applied=applied, note=request.reason
            )

        return self._ledger.once(request.effect, "api_key.revoke", work)

    @activity.defn(name="api_keys.usage")
    def usage(self, request: UsageRequest) -> KeyUsage:
        """Count what was done with a key.

        Raises:
            NotFound: there is no such key.

        """
        with self._ledger.read() as rows:
            row = rows.execute(
                """
                SELECT k.key_id, k.last_used_at,
                       coalesce(sum(u.count) FILTER (WHERE u.kind = 'api_call'), 0)::bigint AS calls,
                       coalesce(sum(u.count) FILTER (WHERE u.kind = 'refused_call'), 0)::bigint AS refused
                FROM runbooks.api_keys k
                LEFT JOIN runbooks.tenant_usage u
                       ON u.key_id = k.key_id AND u.hour >= date_trunc('hour', %s::timestamptz, 'UTC')
                WHERE k.key_id = %s
                GROUP BY k.key_id
                """,
                (request.since, request.key_id),
            ).fetchone()
        if row is None:
            raise _no_key(request.key_id)
        return KeyUsage.model_validate(row)

    @activity.defn(name="api_keys.verify")
    def verify(self, request: VerifyRequest) -> Verdict:
        """Ask the check about a key: with the key itself while its handover is still unopened, else its rule.

        Counts as no use.

        Raises:
            NotFound: there is no such key.

        """
        with self._ledger.read() as rows:
            contents = self._handovers.peek(rows, request.handover_id) if request.handover_id else None
            key = (contents or {}).get(request.key_id)
            row = (
                rows.execute(
                    "SELECT runbooks.api_key_verdict(%s) AS rule, m.reason AS answer FROM runbooks.match_api_key(%s) m",
                    (request.key_id, key),
                ).fetchone()
                or {}
            )
        if row.get("rule") is None:
            raise _no_key(request.key_id)
        reason = str(row["rule"] if key is None else row["answer"])
        return Verdict(key_id=request.key_id, accepted=not reason, reason=reason, presented=key is not None)


def _replaced(rows: Rows, key_id: str, *, living: bool = False) -> dict[str, Any] | None:
    """Give a key that has taken a key's place."""
    return rows.execute(
        "SELECT key_id FROM runbooks.api_keys WHERE replaces = %s AND (revoked_at IS NULL OR NOT %s)", (key_id, living)
    ).fetchone()


def _issuable(rows: Rows, request: IssueKey) -> None:
    if rows.execute("SELECT FROM runbooks.tenants WHERE tenant_id = %s", (request.tenant_id,)).fetchone() is None:
        raise NotFound(f"tenant_id: there is no tenant {request.tenant_id!r}")
    if request.replaces is None:
        return
    before = _locked(rows, request.replaces)
    if before.tenant_id != request.tenant_id:
        raise Refused(f"{request.replaces} is not a key of {request.tenant_id}")
    after = _replaced(rows, before.key_id, living=True)
    if after is not None:
        raise Refused(f"{before.key_id} has been replaced already, by {after['key_id']}: rotate that one")


def _insert(rows: Rows, request: IssueKey, key_hash: bytes) -> None:
    effect = request.effect
    rows.execute(
        """
        INSERT INTO runbooks.api_keys (key_id, tenant_id, key_hash, replaces, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (request.key_id, request.tenant_id, key_hash, request.replaces, effect.workflow_id, effect.run_id, effect.key),
    )


def _locked(rows: Rows, key_id: str) -> ApiKey:
    row = rows.execute(
        f"SELECT {_COLUMNS} FROM runbooks.api_keys k WHERE key_id = %s FOR UPDATE",  # noqa: S608
        (key_id,),
    ).fetchone()
    if row is None:
        raise _no_key(key_id)
    return ApiKey.model_validate(row)


def _revoke(rows: Rows, key_id: str, reason: str) -> None:
    rows.execute(
        """
        UPDATE runbooks.api_keys SET revoked_at = clock_timestamp(), revoked_for = %s
        WHERE key_id = %s AND revoked_at IS NULL
        """,
        (reason, key_id),
    )


def _shown(expires_at: datetime | None) -> str:
    return f"deprecated until {expires_at:%F %T %Z}" if expires_at else "active"


def _no_key(key_id: str) -> NotFound:
    return NotFound(f"key_id: there is no API key {key_id!r}")
