"""What people tell an onboarding, and what each word does to its checklist and its due dates (runbook 5.1)."""

from typing import TYPE_CHECKING

from temporalio import workflow

from activities.common.errors import InvalidInput, JustStarting, Refused
from activities.customers.tenant_records import AssignPeople, CorrectAddress
from activities.customers.tenants import Tenants
from audit.text import counted
from workflows.customer_operations.onboarding_parts import OnboardingParts
from workflows.customer_operations.onboarding_words import Assign, Pause, Reschedule, Resend, StopOnboarding, Tick
from workflows.platform import policies
from workflows.platform.described import described
from workflows.platform.lease import Resume
from workflows.platform.runbook import Runbook

if TYPE_CHECKING:
    from datetime import datetime


class ChecklistWords(Runbook):
    """An onboarding that can be talked to; whatever is said wakes the run that waits."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: OnboardingParts | None = None
        self.paused_at: datetime | None = None
        self.stopped: StopOnboarding | None = None
        self.changes = 0
        """Counts what was said or ticked."""

    @property
    def _parts(self) -> OnboardingParts:
        assert self.parts is not None, "what people say before is refused"
        return self.parts

    def _allowed(self, word: Tick | Assign | Reschedule | Resend | Pause | Resume | StopOnboarding) -> None:
        self.approvals.authorise(word, "customer")
        if self.dry_run or self.stopped is not None:
            raise Refused("the onboarding is only planned, or ends already")
        if self.parts is None or not self.parts.items.item("tenant").done_at:
            raise JustStarting("the tenant is only just being created: try again in a moment")

    def tick(self, item_id: str, *, by: str, note: str = "", evidence: str = "", needed: bool = True) -> None:
        """Tick an item, and say so."""
        item = self._parts.items.item(item_id)
        if item.done_at is not None:
            return
        item.done_at, item.done_by, item.note, item.evidence, item.needed = workflow.now(), by, note, evidence, needed
        self.changes += 1
        what = f"{'☑' if needed else '☒'} {item.text}{f': {note}' if note else ''}"
        self.say("decision", what, who=by, section=self.SECTION)

    @workflow.update(
        name="tick",
        description=described(
            "Tick an item of the checklist, or take a tick back.", Tick, "csm", item="ITEM", note="went well"
        ),
    )
    async def tick_item(self, word: Tick) -> str:
        """Take a tick."""
        item, who = self._parts.items.item(word.item), f"{word.who} ({word.role})"
        if word.undo:
            item.done_at = None
            self.changes += 1
            self.say("decision", f"☐ {item.text} {word.note}".rstrip(), who=who)
            return f"{item.id} is open again"
        self.tick(item.id, by=who, note=word.note, evidence=word.evidence, needed=not word.not_needed)
        return str(self._parts.items.current or "everything is ticked")

    @tick_item.validator
    def _check_tick(self, word: Tick) -> None:
        self._allowed(word)
        done = self._parts.items.item(word.item).done_at is not None
        if done != word.undo:
            raise InvalidInput(f"item: {word.item} is {'ticked' if done else 'not ticked'} already")
        if word.not_needed and not word.note.strip():
            raise InvalidInput("note: say why it does not apply to this customer")

    @workflow.update(
        name="assign",
        description=described(
            "Assign the customer success manager and the solutions engineer.",
            Assign,
            "csm",
            csm="csm@example.org",
            se="se@example.org",
        ),
    )
    async def assign(self, word: Assign) -> str:
        """Take who looks after the customer."""
        account, who = self._parts.account, f"{word.who} ({word.role})"
        people = AssignPeople(tenant_id=account.tenant_id, csm=word.csm, se=word.se, effect=self.effect("assign"))
        await self.step("5.1", "Assign CSM and SE", Tenants.assign, people, policies.EFFECT)
        account.csm, account.se = word.csm or account.csm, word.se or account.se
        item = self._parts.items.item("people-assigned")
        if account.csm and account.se and item.done_at is None:
            self.tick(item.id, by=who, note=f"{account.csm}, {account.se}")
        return f"CSM {account.csm or 'nobody'}, SE {account.se or 'nobody'}"

    @assign.validator
    def _check_assign(self, word: Assign) -> None:
        self._allowed(word)
        if word.csm is None and word.se is None:
            raise InvalidInput("csm, se: name at least one")

    @workflow.update(
        name="reschedule",
        description=described(
            "Move the due date of a phase.",
            Reschedule,
            "csm",
            phase="implementation",
            due="2026-03-02T12:00:00Z",
            reason="their holidays",
        ),
    )
    async def reschedule(self, word: Reschedule) -> str:
        """Take another date."""
        phase = self._parts.items.phase(word.phase)
        phase.due_at, phase.reminded, phase.late = word.due, False, False
        self.changes += 1
        text = f"{phase.title} is due {word.due:%Y-%m-%d} {word.reason}".rstrip()
        self.say("decision", text, who=f"{word.who} ({word.role})")
        return text

    @reschedule.validator
    def _check_reschedule(self, word: Reschedule) -> None:
        self._allowed(word)
        self._parts.items.phase(word.phase)
        if word.due <= workflow.now():
            raise InvalidInput("due: is past: give a time to come")

    @workflow.update(
        name="resend",
        description=described(
            "Send the welcome mails again, perhaps to another address.", Resend, "csm", email="it@acme.example"
        ),
    )
    async def resend(self, word: Resend) -> str:
        """Send them again."""
        account = self._parts.account
        self.say("decision", "Send the welcome mails again", who=f"{word.who} ({word.role})")
        if word.email and word.email != account.email:
            if workflow.patched("address-corrected"):
                await self._correct_address(word.email)
            account.email = word.email
        sent = await self._parts.day_0.welcome()
        return "sent" if sent else "not sent: see the timeline"

    async def _correct_address(self, email: str) -> None:
        account = self._parts.account
        address = CorrectAddress(
            tenant_id=account.tenant_id, before=account.email, after=email, effect=self.effect("address")
        )
        await self.step("5.1", "Correct the address", Tenants.correct_address, address, policies.EFFECT)

    @resend.validator
    def _check_resend(self, word: Resend) -> None:
        self._allowed(word)

    @workflow.update(
        name="pause",
        description=described(
            "No reminders; due dates move by as long as the pause lasts.",
            Pause,
            "csm",
            reason="contract is being changed",
        ),
    )
    async def pause(self, word: Pause) -> str:
        """Begin a pause."""
        self.paused_at = workflow.now()
        self.changes += 1
        self.say("decision", f"Paused: {word.reason}", who=f"{word.who} ({word.role})")
        return "paused"

    @pause.validator
    def _check_pause(self, word: Pause) -> None:
        self._allowed(word)
        if self.paused_at is not None:
            raise InvalidInput("it is paused already")

    @workflow.update(name="resume", description=described("End the pause.", Resume, "csm", reason="signed"))
    async def resume(self, word: Resume) -> str:
        """End a pause."""
        lasted = workflow.now() - (self.paused_at or workflow.now())
        self.paused_at = None
        self._parts.items.shift(lasted)
        self.changes += 1
        text = f"Resumed after {counted(lasted.days, 'day')}; what is open is due that much later"
        self.say("decision", f"{text} {word.reason}".rstrip(), who=f"{word.who} ({word.role})")
        return text

    @resume.validator
    def _check_resume(self, word: Resume) -> None:
        self._allowed(word)
        if self.paused_at is None:
            raise InvalidInput("it is not paused")

    @workflow.update(
        name="stop",
        description=described(
            "End the onboarding, and say what happens to the tenant.",
            StopOnboarding,
            "commander",
            tenant="keep",
            reason="bought by another customer",
        ),
    )
    async def stop(self, word: StopOnboarding) -> str:
        """End it."""
        self.stopped = word
        self.changes += 1
        self.say("decision", f"Stop: {word.reason} (tenant: {word.tenant})", who=f"{word.who} ({word.role})")
        await workflow.wait_condition(lambda: self.outcome != "")
        return f"stopped; tenant: {word.tenant}"

    @stop.validator
    def _check_stop(self, word: StopOnboarding) -> None:
        self._allowed(word)
        if word.tenant != "keep":
            self.approvals.authorise(word, "revoke")  # and so only who may do both
