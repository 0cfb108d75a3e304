"""API key rotation (runbook 8.2): a new key, a grace period for the old one, its end, and the proof of both."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, Field, model_validator
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.effects import Change, Effect
from activities.common.errors import InvalidInput, Refused
from activities.common.text import Name
from activities.common.times import Time
from activities.customers.api_keys import KEY_ID, ApiKeys, DeprecateKey, KeyUsage, RevokeKey, UsageRequest
from activities.customers.tenant_records import TENANT_ID
from audit.text import length
from workflows.platform import policies
from workflows.platform.approval import Question
from workflows.platform.described import described
from workflows.platform.lease import Extend, Lease, shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.resets import Earlier, before_reset
from workflows.platform.runbook import Runbook
from workflows.security.key_change import KeyChange
from workflows.security.words import RevokeNow
from workflows.shared.customers import Customer, find_keys, find_tenant, must_be_active, new_id
from workflows.shared.desk import Desk


class ApiKeyRotationRequest(ServiceRequest):
    """Replace an API key of a tenant."""

    tenant_id: Name = Field(pattern=TENANT_ID, description="Whose key.")
    key_id: Name | None = Field(
        default=None, pattern=KEY_ID, description="The key's ID; the only active one otherwise."
    )
    compromised: bool = Field(default=False, description="Revoke it at once, after an approval; there is no grace.")
    grace: Annotated[timedelta | None, Time()] = Field(
        default=None, gt=timedelta(0), description="How long the old key goes on working, e.g. PT24H; as settings say."
    )
    reason: Name = Field(
        default="scheduled rotation", min_length=1, max_length=200, description="The customer reads it."
    )

    @model_validator(mode="after")
    def _no_grace_where_compromised(self) -> "ApiKeyRotationRequest":
        if self.compromised and self.grace is not None:
            raise ValueError("grace: a compromised key has none")
        return self


class ApiKeyRotationResult(BaseModel):
    """What became of it."""

    tenant_id: str
    old_key: str
    new_key: str
    rotated: bool = Field(description="The old key is refused, the new one accepted: both were tried.")
    ended_by: str = Field(default="", description="What ended the grace period: `expiry`, a person, `compromised`.")
    old_key_calls: int = Field(default=0, description="Calls with the old key since the hour of the rotation.")


@workflow.defn
class ApiKeyRotation(Runbook):
    """Issue, tell, deprecate, watch, revoke, verify."""

    SECTION = "8.2"
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self.change: KeyChange | None = None
        self.lease: Lease | None = None
        self._moving = asyncio.Lock()
        self._reminders = 0
        self._revoked = False
        self._left = False
        self._earlier: Earlier | None = None

    @workflow.run
    async def run(self, request: ApiKeyRotationRequest) -> ApiKeyRotationResult:
        """Follow 8.2.

        Raises:
            InvalidInput: the service is not in the catalogue; the grace is longer than settings allow.
            NotFound: there is no such tenant.
            Refused: there is no key to rotate, or it has been rotated; the tenant isn't active.

        """
        service = await self.begin(request, title="API key rotation", service=request.service, severity="P3")
        lasting = request.grace or service.customers.key_grace
        if lasting > service.customers.longest_key_grace:
            longest = service.customers.longest_key_grace
            raise InvalidInput(f"grace: longer than settings allow ({length(longest)}, customers.longest_key_grace)")
        self.title = f"API key rotation of {request.tenant_id}"
        self.phase("Current keys")
        tenant = await find_tenant(self, "8.2", request.tenant_id)
        must_be_active(tenant)
        keys = await find_keys(self, "8.2", request.tenant_id)
        issuing, revoking = self.effect("issue"), self.effect("revoke")
        for effect in (issuing, revoking):
            earlier = self._earlier = self._earlier or await before_reset(self, "8.2", effect, ApiKeys.of_tenant)
            keys = (earlier and earlier.answer(ApiKeys.of_tenant)) or keys
        leaked = keys.leaked(request.key_id) if request.compromised else None
        old = leaked[0] if leaked else keys.to_rotate(request.key_id)
        self.say("decision", _to_do(old.key_id, leaked[1].key_id if leaked else "", request.reason))
        desk = Desk(self, service, "P3", self.title, "KEY")
        customer = Customer(self, service, tenant.contact_name, tenant.email)
        self.change = KeyChange(
            self,
            desk,
            customer,
            tenant_id=tenant.tenant_id,
            old=old.key_id,
            new=leaked[1].key_id if leaked else new_id(self, "tsk"),
            handover_id=new_id(self, "ho"),
            issuing=issuing,
            revoking=revoking,
        )
        try:
            return await self._rotate(service, self.change, request, lasting, replaced=leaked is not None)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise

    async def _rotate(
        self, service: Service, change: KeyChange, request: ApiKeyRotationRequest, lasting: timedelta, *, replaced: bool
    ) -> ApiKeyRotationResult:
        if request.compromised and not await self._approved(service, change, replaced=replaced):
            self.finish("not approved")
            return self._result(change, ended_by="")
        if replaced:
            self.phase("Revoke")
            await change.revoke_leaked()
            change.handed_over = True
            ended_by = "compromised"
        elif request.compromised:
            self.phase("Revoke and replace")
            await change.issue(request.reason, "has been revoked", revoke_old=True)
            ended_by = "compromised"
        else:
            ended_by = await self._with_grace(service, change, request.reason, lasting)
        self.phase("Verify")
        result = await self._verified(change, ended_by)
        await self.settle()
        self.finish("planned" if self.dry_run else "rotated" if result.rotated else "rotated, not verified")
        return result

    # -- a compromised key -------------------------------------------------------------------------------

    async def _approved(self, service: Service, change: KeyChange, *, replaced: bool) -> bool:
        """Ask whether to revoke at once: whatever still uses the key fails from then on."""
        if self.dry_run:
            self.say("decision", f"would ask whether to revoke {change.old} at once")
            return True
        if self._earlier is not None:
            self.say("decision", f"This run was reset, and had begun to revoke {change.old}: nobody is asked again")
            await change.desk.open(f":rotating_light: {change.old} of {change.tenant_id} is said to be compromised.")
            return True
        await change.desk.open(f":rotating_light: {change.old} of {change.tenant_id} is said to be compromised.")
        usage = await self._usage(change, workflow.now() - timedelta(hours=24))
        question = Question(
            id="revoke",
            title=f"Revoke {change.old} of {change.tenant_id} at once?",
            options={
                "revoke": f"it ends now; {change.new}, which the customer has already, stays"
                if replaced
                else "it ends now, a new key is issued in the same moment, and the customer is told",
                "leave": "nothing is changed",
            },
            recommended="revoke",
            default="leave",
            kind="revoke",
            evidence=[str(usage)] if usage else [],
            timeout=min(service.customers.decision_timeout, timedelta(minutes=15)),
        )
        self.background(change.desk.ask(question))
        answer = await self.ask(question, escalate=change.desk.escalate)
        return answer.choice == "revoke"

    # -- with a grace period -----------------------------------------------------------------------------

    async def _with_grace(self, service: Service, change: KeyChange, reason: str, lasting: timedelta) -> str:
        self.phase("New key")
        await change.desk.open(f":key: {self.title}: {reason}.")
        ends = workflow.now() + lasting
        deprecating = self.effect("deprecate")
        await change.issue(reason, f"goes on working until {ends:%Y-%m-%d %H:%M %Z}")
        self.lease = Lease.of("grace of the old key", lasting, service.customers.longest_key_grace)
        if self._earlier is not None and await self._from_before(change, self.lease, deprecating):
            return self.lease.ended_by
        try:
            return await self._grace(service, change, self.lease, deprecating)
        except (Exception, asyncio.CancelledError) as error:
            await shielded(self._leave(change, error))
            raise

    def leases(self) -> list[Lease]:
        """Give the old key's grace, while it lasts."""
        return [self.lease] if self.lease and not self.dry_run and not self.lease.ended_by else []

    async def _from_before(self, change: KeyChange, lease: Lease, deprecating: Effect) -> bool:
        """Take the grace up where it was before a reset; True where it is over, and the old key revoked."""
        revoked = await before_reset(self, "8.2", change.revoking)
        if revoked is not None and (done := revoked.change(Change)) is not None:
            self.say("decision", f"This run was reset, and had done it before: {done}", section="8.2/5")
            lease.end("the run before its reset")
            self._revoked = True
            return True
        deprecated = await before_reset(self, "8.2", deprecating)
        if deprecated is not None and (until := deprecated.asked(DeprecateKey).until) is not None:
            # Not what the records say now: what people have said since is said to this run again by Temporal.
            lease.until = until
            self.say(
                "decision", f"This run was reset: the grace ends at {until:%H:%M:%S %Z}, as before", section="8.2/3"
            )
        return False

    async def _grace(self, service: Service, change: KeyChange, lease: Lease, deprecating: Effect) -> str:
        self.phase("Grace period")
        await self._deprecate(change, lease.until, deprecating)
        if self.dry_run:
            self.say("decision", f"would revoke {change.old} at {lease.until:%Y-%m-%d %H:%M:%S %Z}")
            return "plan"
        self.background(self._remind_near_the_end(service, change, lease))
        try:
            await lease.hold(self._moving)
        except (Exception, asyncio.CancelledError):
            lease.end("left")  # so that nobody is reminded any more
            raise
        self.phase("Revoke the old key")
        revoke = RevokeKey(key_id=change.old, reason="rotation", if_replaced=True, effect=change.revoking)
        await self.step("8.2/5", "Revoke the old key", ApiKeys.revoke, revoke, policies.RELEASE)
        self._revoked = True
        return lease.ended_by

    async def _remind_near_the_end(self, service: Service, change: KeyChange, lease: Lease) -> None:
        """Look at the old key before its end, and before every end that it is given."""
        looked = lease.acquired_at
        while not lease.ended_by:
            until, now = lease.until, workflow.now()
            at = max(until - service.customers.key_reminder, now + (until - now) / 2)
            if await lease.wait_until(at, f"reminder: {lease.name}"):
                await self._remind(service, change, lease, looked)
                looked = workflow.now()
                await workflow.wait_condition(lambda until=until: bool(lease.ended_by) or lease.until != until)  # type: ignore[misc]

    async def _remind(self, service: Service, change: KeyChange, lease: Lease, since: datetime) -> None:
        """Where the old key is still used, tell the customer and ask for more time or not."""
        if workflow.patched("keys-read-again"):
            keys = await change.keys()
            old = keys.named(change.old) if keys else None
            if old is not None and old.status == "revoked":
                self.say("decision", f"{change.old} is revoked already: nobody is reminded", section="8.2/4")
                return
        usage = await self._usage(change, since)
        if usage is None and workflow.patched("usage-unread"):
            told = f"whether {change.old} is still used can't be read"
            self.say("problem", told, section="8.2/4")
        elif usage is None or not _in_use(usage, since):
            self.say(
                "decision", f"{change.old} is no longer used: it ends at {lease.until:%H:%M:%S %Z}", section="8.2/4"
            )
            return
        else:
            told = str(usage)
        self._reminders += 1
        if usage is not None:
            await change.still_used(usage, lease.until)
        left, room = lease.until - workflow.now(), min(service.customers.key_grace, lease.latest - lease.until)
        if room <= timedelta(0):
            used = "is" if usage is not None else "may be"
            self.say(
                "problem", f"{change.old} {used} still used, and its grace can't be extended any more", section="8.2/4"
            )
            await change.desk.tell(
                "still used", f":warning: {told}. It ends at {lease.until:%H:%M %Z}, and that's the limit."
            )
            return
        question = Question(
            id=f"still-used-{self._reminders}",
            title=f"{change.old} of {change.tenant_id} {'is' if usage else 'may be'} still in use. Extend its grace?",
            options={
                "extend": f"it goes on working for {room} more",
                "revoke": f"it ends at {lease.until:%Y-%m-%d %H:%M %Z}, as the customer was told",
            },
            default="revoke",
            kind="revoke",
            evidence=[told],
            timeout=min(service.customers.decision_timeout, left / 2),
        )
        self.background(change.desk.ask(question))
        until = lease.until
        answer = await self.ask(
            question, escalate=change.desk.escalate, until=lambda: bool(lease.ended_by) or lease.until != until
        )
        if answer.choice == "extend":
            try:
                await self._extend(change, lease, room)
            except (ActivityError, InvalidInput, Refused) as error:
                if is_cancelled_exception(error):
                    raise
                await change.desk.escalate(f"the grace of {change.old} could not be extended")

    async def _deprecate(self, change: KeyChange, until: datetime, effect: Effect) -> None:
        request = DeprecateKey(key_id=change.old, until=until, effect=effect)
        await self.step("8.2/3", "Deprecate the old key", ApiKeys.deprecate, request, policies.EFFECT)

    async def _extend(self, change: KeyChange, lease: Lease, by: timedelta) -> None:
        """Move the end: in the records first, by which the check goes, then here."""
        async with self._moving:
            lease.check(by)
            await self._deprecate(change, lease.until + by, self.effect("deprecate"))
            if lease.ended_by:
                raise Refused(f"the grace period has ended meanwhile ({lease.ended_by})")
            lease.extend(by)

    async def _leave(self, change: KeyChange, error: BaseException) -> None:
        """Let both keys stay valid: the run was cancelled or failed in the grace period."""
        self._left = True
        async with self._moving:
            request = DeprecateKey(key_id=change.old, until=None, effect=self.effect("deprecate"))
            taken_back = await self.attempt(
                "8.2/3", "Take the deprecation back", ApiKeys.deprecate, request, policies.RELEASE
            )
        why = "cancelled" if is_cancelled_exception(error) else "failed"
        stay = f"{change.old} and {change.new} both stay valid: rotate or revoke one of them"
        text = f"{self.title} {why}: {stay if taken_back else f'{change.new} stays; look at {change.old}'}"
        self.say("problem", text)
        await change.desk.tell("left", f":warning: {text}")
        await self.settle()

    # -- afterwards --------------------------------------------------------------------------------------

    async def _usage(self, change: KeyChange, since: datetime) -> KeyUsage | None:
        request = UsageRequest(key_id=change.old, since=since)
        return await self.attempt("8.2/4", "Usage of the old key", ApiKeys.usage, request, policies.READ)

    async def _verified(self, change: KeyChange, ended_by: str) -> ApiKeyRotationResult:
        if self.dry_run:
            return self._result(change, ended_by=ended_by)
        try:
            rotated = await change.verify()
        except ActivityError:
            rotated = False
        usage = await self._usage(change, workflow.info().workflow_start_time)
        if not rotated:
            await change.desk.escalate(f"the check does not say what it should of {change.old} and {change.new}")
        await change.tell_end()
        return self._result(change, ended_by=ended_by, rotated=rotated, calls=usage.calls if usage else 0)

    def _result(
        self, change: KeyChange, *, ended_by: str, rotated: bool = False, calls: int = 0
    ) -> ApiKeyRotationResult:
        new = change.new if change.issued or change.handed_over else ""
        return ApiKeyRotationResult(
            tenant_id=change.tenant_id,
            old_key=change.old,
            new_key=new,
            rotated=rotated,
            ended_by=ended_by,
            old_key_calls=calls,
        )

    # -- what people send --------------------------------------------------------------------------------

    @workflow.update(
        name="extend",
        description=described(
            "Let the old key go on working for longer.", Extend, "security", by="PT6H", reason="they deploy tonight"
        ),
    )
    async def extend(self, word: Extend) -> str:
        """Move the end of the grace period."""
        change, lease = self._in_grace()
        await self._extend(change, lease, word.by)
        until = f"{lease.until:%Y-%m-%d %H:%M:%S %Z}"
        self.say("decision", f"Grace extended until {until} {word.reason}".rstrip(), who=f"{word.who} ({word.role})")
        return f"{change.old} works until {until}"

    @extend.validator
    def _check_extend(self, word: Extend) -> None:
        self.approvals.authorise(word, "revoke")
        self._in_grace()[1].check(word.by)

    @workflow.update(
        name="revoke",
        description=described("Revoke the old key now.", RevokeNow, "security", reason="they have changed over"),
    )
    async def revoke(self, word: RevokeNow) -> str:
        """End the grace period early."""
        change, lease = self._in_grace()
        who = f"{word.who} ({word.role})"
        self.say("decision", f"Revoke {change.old} now {word.reason}".rstrip(), who=who)
        lease.end(who)
        await workflow.wait_condition(lambda: self._revoked or self._left)
        if not self._revoked:
            raise Refused(f"{change.old} could not be revoked, and stays valid: see the timeline")
        return f"{change.old} is revoked"

    @revoke.validator
    def _check_revoke(self, word: RevokeNow) -> None:
        self.approvals.authorise(word, "revoke")
        _, lease = self._in_grace()
        if lease.ended_by:
            raise InvalidInput(f"the grace period has ended already ({lease.ended_by})")

    def _in_grace(self) -> tuple[KeyChange, Lease]:
        """Give the change and its grace period.

        Raises:
            Refused: there is none.

        """
        if self.change is None or self.lease is None or self.dry_run:
            raise Refused("no old key of this run is in its grace period")
        return self.change, self.lease


def _to_do(old: str, successor: str, reason: str) -> str:
    if successor:
        return f"{old} is to be revoked now: {reason}. {successor} has taken its place already, and stays"
    return f"{old} is to be replaced: {reason}"


def _in_use(usage: KeyUsage, since: datetime) -> bool:
    """Tell whether a key was used in the later half of a time: what was moved to the new key is not."""
    return usage.last_used_at is not None and usage.last_used_at >= since + (workflow.now() - since) / 2
