"""Enterprise onboarding (runbook 5.1): a run of weeks that holds the checklist and sees it through."""

from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, Field, model_validator
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import InvalidInput
from activities.common.text import Key, Name
from activities.common.times import Time
from activities.customers.tenant_records import TENANT_ID, SetTenantStatus, Tier
from activities.customers.tenants import TenantRequest, Tenants
from activities.messages.chat.chat import Message
from activities.messages.mail.addresses import MailAddress
from workflows.customer_operations.checklist import Checklist, checklist
from workflows.customer_operations.checklist_watch import ChecklistWatch
from workflows.customer_operations.checklist_words import ChecklistWords
from workflows.customer_operations.day_0 import Account, Day0
from workflows.customer_operations.onboarding_parts import OnboardingParts
from workflows.customer_operations.onboarding_words import StopOnboarding
from workflows.customer_operations.tenant_ids import tenant_id_of
from workflows.platform import policies, search_attributes
from workflows.platform.lease import shielded
from workflows.platform.requests import ServiceRequest
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
class EnterpriseOnboarding(ChecklistWords):
    """Day 0 by itself; then the checklist, ticked by people and by the data."""

    SECTION = "5.1"
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

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
            changes = self.changes
            at = None if self.paused_at else self._parts.watch.next()
            try:
                await workflow.wait_condition(
                    lambda changes=changes: self.changes != changes,  # type: ignore[misc]
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


def _past(request: EnterpriseOnboardingRequest, service: Service) -> str:
    """Say which date of a contract was past when it was asked for; empty where none was."""
    asked_at = workflow.info().workflow_start_time
    if request.kickoff_at is not None and request.kickoff_at <= asked_at:
        return f"kickoff_at: is past, it is {asked_at:%Y-%m-%d %H:%M} UTC"
    today = asked_at.astimezone(ZoneInfo(service.time_zone)).date()
    if request.renews_on is not None and request.renews_on < today:
        return f"renews_on: is past, it is {today}"
    return ""
