"""One key's change to its successor: issue and tell, and what is said of both later (runbook 8.2)."""

import asyncio
from datetime import datetime

from temporalio import workflow

from activities.common.effects import Effect
from activities.customers.api_keys import (
    ApiKeys,
    IssueKey,
    Keys,
    KeysRequest,
    KeyUsage,
    RevokeKey,
    VerifyRequest,
)
from workflows.platform import policies
from workflows.platform.lease import shielded
from workflows.platform.runbook import Runbook
from workflows.shared.customers import Customer
from workflows.shared.desk import Desk


class KeyChange:
    """From `old` to `new`, whose secret is at the handover."""

    def __init__(
        self,
        run: Runbook,
        desk: Desk,
        customer: Customer,
        *,
        tenant_id: str,
        old: str,
        new: str,
        handover_id: str,
        issuing: Effect,
        revoking: Effect,
    ) -> None:
        self.run = run
        self.desk = desk
        self.customer = customer
        self.tenant_id = tenant_id
        self.old = old
        self.new = new
        self.handover_id = handover_id
        self.issuing = issuing
        self.revoking = revoking
        self.issued = False
        self.handed_over = False
        """The new key is another run's, and the customer has it."""

    async def issue(self, reason: str, old_key_end: str, *, revoke_old: bool = False) -> None:
        """Issue the new key and tell the customer where it is.

        A new key that the customer could not be told of is taken back, so that the old one can be rotated again;
        not where the old one ended with it: then people are told to bring it to the customer themselves.

        Raises:
            ActivityError: it can't be issued, or the customer can't be told.

        """
        issue = IssueKey(
            key_id=self.new,
            tenant_id=self.tenant_id,
            replaces=self.old,
            revoke_replaced=revoke_old,
            handover_id=self.handover_id,
            effect=self.issuing,
        )
        try:
            await self.run.step("8.2/1", "Issue the new key", ApiKeys.issue, issue, policies.EFFECT)
            self.issued = True
            values = {"reason": reason, "new_key": self.new, "old_key": self.old, "old_key_end": old_key_end}
            await self.customer.mail("8.2/2", "api_key_rotated", values, handover_id=self.handover_id)
        except (Exception, asyncio.CancelledError):
            await shielded(self._not_told(revoked=revoke_old))
            raise

    async def _not_told(self, *, revoked: bool) -> None:
        if revoked:
            why = f"{self.old} may be revoked, and the customer has not been told of {self.new}: bring it to them"
            await self.desk.escalate(why)
        else:
            # Also where the answer to `issue` was lost: then it may be there.
            take_back = RevokeKey(
                key_id=self.new, reason="the customer was not told", effect=self.run.effect("take-back")
            )
            await self.run.attempt("8.2/1", "Take the new key back", ApiKeys.revoke, take_back, policies.RELEASE)
            await self.desk.tell(
                "not told", f":warning: {self.old} stays: the customer could not be told of a new key."
            )
        await self.run.settle()

    async def still_used(self, usage: KeyUsage, ends: datetime) -> None:
        """Remind the customer."""
        last = f"{usage.last_used_at:%Y-%m-%d %H:%M %Z}" if usage.last_used_at else "—"
        values = {
            "old_key": self.old,
            "new_key": self.new,
            "calls": str(usage.calls),
            "last_used": last,
            "ends": f"{ends:%Y-%m-%d %H:%M %Z}",
        }
        await self.customer.tell("8.2/4", "api_key_still_used", values)

    async def verify(self) -> bool:
        """Ask the check about both keys.

        Raises:
            ActivityError: the records don't answer.

        """
        old, new = await asyncio.gather(
            self.run.step(
                "8.2", "The old key is refused", ApiKeys.verify, VerifyRequest(key_id=self.old), policies.EFFECT
            ),
            self.run.step(
                "8.2",
                "The new key is accepted",
                ApiKeys.verify,
                VerifyRequest(key_id=self.new, handover_id=self.handover_id),
                policies.EFFECT,
            ),
        )
        return new.accepted and not old.accepted

    async def keys(self) -> Keys | None:
        """Read the tenant's keys again: what was pinned before a wait may have changed; None where they can't be."""
        request = KeysRequest(tenant_id=self.tenant_id)
        return await self.run.attempt("8.2", "The keys now", ApiKeys.of_tenant, request, policies.READ)

    async def revoke_leaked(self) -> None:
        """Revoke the old key at once; the new one is in the customer's hands already.

        Raises:
            ActivityError: it can't be revoked.

        """
        revoke = RevokeKey(key_id=self.old, reason="compromised", effect=self.revoking)
        await self.run.step("8.2/5", "Revoke the compromised key", ApiKeys.revoke, revoke, policies.RELEASE)

    async def tell_end(self) -> None:
        """Tell the customer and the channel that the old key has ended.

        A new key that was revoked meanwhile is not named as the one to use: people are told instead.
        """
        if workflow.patched("keys-read-again") and not self.run.dry_run:
            keys = await self.keys()
            new = keys.named(self.new) if keys else None
            if new is not None and new.status in {"revoked", "expired"}:
                await self.desk.escalate(
                    f"{self.old} of {self.tenant_id} is revoked, and {self.new}, which was to take its place, is "
                    f"{new.status} too: the customer was not told to use it"
                )
                return
        await asyncio.gather(
            self.customer.tell("8.2/5", "api_key_revoked", {"old_key": self.old, "new_key": self.new}),
            self.desk.tell("rotated", f":key: {self.old} of {self.tenant_id} is revoked; {self.new} is in its place."),
        )
