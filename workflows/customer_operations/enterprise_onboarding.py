"""Enterprise onboarding (runbook 5.1): a run of weeks that holds the checklist and sees it through."""

from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, Field, model_validator
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import InvalidInput, JustStarting, Refused
from activities.common.text import Key, Name
from activities.common.times import Time
from activities.customers.tenant_records import TENANT_ID, AssignPeople, CorrectAddress, SetTenantStatus, Tier
from activities.customers.tenants import TenantRequest, Tenants
from activities.messages.chat.chat import Message
from activities.messages.mail.addresses import MailAddress
from audit.text import counted
from workflows.customer_operations.checklist import Checklist, checklist
from workflows.customer_operations.checklist_watch import ChecklistWatch
from workflows.customer_operations.day_0 import Account, Day0
from workflows.customer_operations.onboarding_parts import OnboardingParts
from workflows.customer_operations.onboarding_words import Assign, Pause, Reschedule, Resend, StopOnboarding, Tick
from workflows.customer_operations.tenant_ids import tenant_id_of
from workflows.platform import policies, search_attributes
from workflows.platform.described import described
from workflows.platform.lease import Resume, shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.platform.signing import seen
from workflows.platform.timeline import Entry
from workflows.shared.desk import Desk

_EVENTS = 3000
_ENTRIES_CARRIED = 60


class Carried(BaseModel):
    """What a run hands to the run that continues it."""

    service: Service
    account: Account
    checklist: Checklist
    signed_at: Annotated[datetime, Time(made_fit=True)]
    desk_id: Key
    thread: Message | None
    paused_at: Annotated[datetime | None, Time(made_fit=True)]
    next_look: Annotated[datetime, Time(made_fit=True)]
    entries: list[Entry]


class EnterpriseOnboardingRequest(ServiceRequest):
    """Bring a new enterprise customer from the contract to its first review."""

    name: Name = Field(min_length=1, max_length=120, description="The customer's.")
    tenant_id: Name | None = Field(default=None, pattern=TENANT_ID, description="Made of the name where none is given.")
    tier: Tier = Field(default="enterprise", description="starter, team or enterprise.")
    contact_name: Name = Field(min_length=1, max_length=120, description="Who becomes the tenant's administrator.")
    email: MailAddress = Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", description="That person's address.")
    csm: Name = Field(default="", description="Customer success manager, if known already.")
    se: Name = Field(default="", description="Solutions engineer, if known already.")
    renews_on: Annotated[date | None, Time()] = Field(
        default=None, description="When the contract ends unless it is renewed."
    )
    kickoff_at: Annotated[AwareDatetime | None, Time()] = Field(
        default=None, description="As settings say where none is given."
    )
    carried: Carried | None = Field(default=None, description="Set by the run itself when it continues as new.")

    @model_validator(mode="after")
    def _has_an_id(self) -> "EnterpriseOnboardingRequest":
        if self.tenant_id is None:
            self.tenant_id = tenant_id_of(self.name)
        return self


class EnterpriseOnboardingResult(BaseModel):
    """How it ended."""

    tenant_id: str
    complete: bool = Field(description="Every item is ticked.")
    open: list[str] = Field(description="Items that are not.")
    tenant: str = Field(description="What became of the tenant.")


@workflow.defn
class EnterpriseOnboarding(Runbook):
    """Day 0 by itself; then the checklist, ticked by people and by the data."""

    SECTION = "5.1"
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self.parts: OnboardingParts | None = None
        self.paused_at: datetime | None = None
        self.stopped: StopOnboarding | None = None
        self._changes = 0

    @workflow.run
    async def run(self, request: EnterpriseOnboardingRequest) -> EnterpriseOnboardingResult:
        """Follow 5.1.

        Raises:
            InvalidInput: the service is not in the catalogue, or the kickoff or the contract's end is past.
            Refused: another tenant has the ID or the name.

        """
        self.epoch = (workflow.info().continued_run_id or "")[:8]
        service = await self.begin(
            request, title=f"Onboarding of {request.name}", service=request.service, severity="P4"
        )
        if request.carried is None and (past := _past(request, service)) and workflow.patched("dates-to-come"):
            raise InvalidInput(past)
        account = Account.of(self, request)
        self.mark(search_attributes.TENANT.value_set(account.tenant_id))
        parts = self.parts = self._taken_up(request.carried, service, account)
        try:
            if request.carried is None:
                await parts.day_0.begin(request.kickoff_at)
            if self.dry_run:
                self.say("decision", "would hold the checklist until every item of it is ticked")
                self.finish("planned")
                return self._result("not created")
            await self._see_through(request)
        except BaseException as error:
            if is_cancelled_exception(error):
                await shielded(self._cancelled())
            raise
        tenant = await self._end()
        await self.settle()
        return self._result(tenant)

    def _taken_up(self, carried: Carried | None, service: Service, account: Account) -> OnboardingParts:
        now = workflow.now()
        if carried is not None:
            service, account = carried.service, carried.account
            self.service = service
        desk = Desk(self, service, "P4", self.title, "ONB")
        items, signed_at, next_look = checklist(now), now, now
        if carried is not None:
            desk.id, desk.thread = carried.desk_id, carried.thread
            signed_at, next_look = carried.signed_at, carried.next_look
            items, self.paused_at = carried.checklist, carried.paused_at
            self.timeline.take_up(carried.entries)
        day_0 = Day0(self, desk, service, account, self.tick)
        return OnboardingParts(day_0, items, ChecklistWatch(day_0, items, self.tick, signed_at, next_look))

    def board(self) -> str:
        """Show the checklist."""
        return self.parts.items.markdown() if self.parts else ""

    # -- the weeks ---------------------------------------------------------------------------------------

    async def _see_through(self, request: EnterpriseOnboardingRequest) -> None:
        while not self._parts.items.done and self.stopped is None:
            self._show()
            if workflow.info().get_current_history_length() > _EVENTS:
                await self.settle()
                if not self._parts.items.done and self.stopped is None:
                    workflow.continue_as_new(request.model_copy(update={"carried": self._carry()}))
            changes = self._changes
            at = None if self.paused_at else self._parts.watch.next()
            try:
                await workflow.wait_condition(
                    lambda changes=changes: self._changes != changes,  # type: ignore[misc]
                    timeout=max(at - workflow.now(), timedelta(0)) if at else None,
                    timeout_summary="until the data is looked at, or something is due",
                )
            except TimeoutError:
                await self._parts.watch.look()

    def _show(self) -> None:
        current = self._parts.items.current
        if current is not None:
            self.phase(current.title)
        waiting = "resume" if self.paused_at else str(current or "")
        if self.waiting_for != waiting:
            self.wait_for(waiting)

    # -- the end -----------------------------------------------------------------------------------------

    async def _end(self) -> str:
        self.wait_for("")
        tenant = await self._stop(self.stopped) if self.stopped is not None else await self._as_it_is()
        text = "complete" if self._parts.items.done else f"stopped; the tenant is {tenant}"
        self.finish("onboarded" if self._parts.items.done else "stopped")
        await self._parts.desk.tell("ended", f":checkered_flag: {self.title} is {text}.")
        return tenant

    async def _stop(self, word: StopOnboarding) -> str:
        if word.tenant == "keep":
            return await self._as_it_is()
        status = SetTenantStatus(
            tenant_id=self._parts.account.tenant_id,
            status="closed" if word.tenant == "close" else "suspended",
            reason=word.reason,
            effect=self.effect(f"tenant-{word.tenant}"),
        )
        await self.step("5.1", f"The tenant: {word.tenant}", Tenants.set_status, status, policies.RELEASE)
        return status.status

    async def _as_it_is(self) -> str:
        """Read what the tenant is: in weeks somebody may have suspended or closed it."""
        if workflow.patched("tenant-as-it-is"):
            asked = TenantRequest(tenant_id=self._parts.account.tenant_id)
            found = await self.attempt("5.1", "The tenant as it is", Tenants.tenant, asked, policies.READ)
            return found.status if found else "unknown"
        return "active"

    async def _cancelled(self) -> None:
        tenant_id = self._parts.account.tenant_id
        text = f"cancelled: the tenant {tenant_id} and its keys stay as they are, if they had been created"
        self.say("problem", text)
        self.finish("cancelled")
        await self._parts.desk.tell("cancelled", f":warning: {self.title}: {text}.")
        await self.settle()

    def _result(self, tenant: str) -> EnterpriseOnboardingResult:
        still = [item.id for phase in self._parts.items.phases for item in phase.open]
        return EnterpriseOnboardingResult(
            tenant_id=self._parts.account.tenant_id, complete=not still, open=still, tenant=tenant
        )

    def _carry(self) -> Carried:
        return Carried(
            service=self._parts.desk.service,
            account=self._parts.account,
            checklist=self._parts.items,
            signed_at=self._parts.watch.signed_at,
            desk_id=self._parts.desk.id,
            thread=self._parts.desk.thread,
            paused_at=self.paused_at,
            next_look=self._parts.watch.next_look,
            entries=self.timeline.entries[-_ENTRIES_CARRIED:],
        )

    # -- what people send --------------------------------------------------------------------------------

    def tick(self, item_id: str, *, by: str, note: str = "", evidence: str = "", needed: bool = True) -> None:
        """Tick an item, and say so."""
        item = self._parts.items.item(item_id)
        if item.done_at is not None:
            return
        item.done_at, item.done_by, item.note, item.evidence, item.needed = workflow.now(), by, note, evidence, needed
        self._changes += 1
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
            self._changes += 1
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
        if any(person is not None and not seen(person).strip() for person in (word.csm, word.se)):
            raise InvalidInput("csm, se: a name of blanks is nobody's")

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
        self._changes += 1
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
        self._changes += 1
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
        self._changes += 1
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
        self._changes += 1
        self.say("decision", f"Stop: {word.reason} (tenant: {word.tenant})", who=f"{word.who} ({word.role})")
        await workflow.wait_condition(lambda: self.outcome != "")
        return f"stopped; tenant: {word.tenant}"

    @stop.validator
    def _check_stop(self, word: StopOnboarding) -> None:
        self._allowed(word)
        if word.tenant != "keep":
            self.approvals.authorise(word, "revoke")  # and so only who may do both

    def _allowed(self, word: Tick | Assign | Reschedule | Resend | Pause | Resume | StopOnboarding) -> None:
        self.approvals.authorise(word, "customer")
        if self.dry_run or self.stopped is not None:
            raise Refused("the onboarding is only planned, or ends already")
        if self.parts is None or not self.parts.items.item("tenant").done_at:
            raise JustStarting("the tenant is only just being created: try again in a moment")

    @property
    def _parts(self) -> OnboardingParts:
        assert self.parts is not None, "what people say before is refused"
        return self.parts


def _past(request: EnterpriseOnboardingRequest, service: Service) -> str:
    """Say which date of a contract was past when it was asked for; empty where none was."""
    asked_at = workflow.info().workflow_start_time
    if request.kickoff_at is not None and request.kickoff_at <= asked_at:
        return f"kickoff_at: is past, it is {asked_at:%Y-%m-%d %H:%M} UTC"
    today = asked_at.astimezone(ZoneInfo(service.time_zone)).date()
    if request.renews_on is not None and request.renews_on < today:
        return f"renews_on: is past, it is {today}"
    return ""
