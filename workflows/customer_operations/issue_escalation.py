"""Customer issue escalation (runbook 5.2): a ticket with all that is known, and a promise to the customer, kept."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import JustStarting, Refused
from activities.common.severity import Severity
from activities.common.text import Name, Words
from activities.customers.tenant_records import TENANT_ID
from activities.customers.tenants import ActivityRequest, Tenant, TenantActivity, Tenants
from activities.customers.tickets import AssignTicket, CloseTicket, CommentTicket, CreateTicket, Support
from activities.messages.paging.paging import Paging, ResolvePage
from activities.records.activities import Records
from activities.records.on_call import OnCallRequest
from audit.text import counted, length
from workflows.customer_operations.customer_words import Reassign, Resolve, UpdateCustomer
from workflows.customer_operations.ticket_parts import TicketParts
from workflows.platform import policies
from workflows.platform.described import described
from workflows.platform.lease import shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.platform.signing import SignedWord
from workflows.shared.customers import Customer, find_tenant
from workflows.shared.desk import Desk

_LOOK_BACK = timedelta(hours=24)
_REMIND_AT = 0.75
_ERRORS = 20


class IssueEscalationRequest(ServiceRequest):
    """A customer reports a critical issue."""

    tenant_id: Name = Field(pattern=TENANT_ID, description="Who reports it.")
    summary: Name = Field(min_length=1, description="The customer reads it in the answer.")
    details: Words = Field(default="", description="All that they say; for the ticket.")
    priority: Severity = Field(default="P2", description="P1 to P4.")
    assignee: Name | None = Field(default=None, description="Who is on duty where nobody is named.")


class IssueEscalationResult(BaseModel):
    """How it ended."""

    ticket_id: str
    assignee: str
    updates: int = Field(description="How often the customer heard from us.")
    promises_broken: int
    resolution: str


@workflow.defn
class IssueEscalation(Runbook):
    """Collect, open and assign the ticket, tell the customer, and keep the promise of an update."""

    SECTION = "5.2"
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self.assignee = ""
        self.resolved: Resolve | None = None
        self.parts: TicketParts | None = None
        self._due_at: datetime | None = None
        self._updates = 0
        self._broken = 0

    @workflow.run
    async def run(self, request: IssueEscalationRequest) -> IssueEscalationResult:
        """Follow 5.2.

        Raises:
            InvalidInput: the service is not in the catalogue.
            NotFound: there is no such tenant.

        """
        service = await self.begin(
            request,
            title=f"{request.tenant_id}: {request.summary}",
            service=request.service,
            severity=request.priority,
        )
        desk = Desk(self, service, request.priority, self.title, "TCK")
        self.phase("What is known")
        tenant, activity = await self._collect(request.tenant_id)
        self.parts = TicketParts(desk, Customer(self, service, tenant.contact_name, tenant.email))
        try:
            await self._open(service, request, tenant, activity)
            if self.dry_run:
                self.say("decision", f"would keep the customer told every {length(service.customers.update_within)}")
            else:
                await self._keep_promises(service)
                await self._close()
        except BaseException as error:
            if is_cancelled_exception(error):
                await shielded(self._left_open())
            raise
        await self.settle()
        self.finish("planned" if self.dry_run else "resolved")
        return IssueEscalationResult(
            ticket_id=self._parts.desk.id,
            assignee=self.assignee,
            updates=self._updates,
            promises_broken=self._broken,
            resolution=self.resolved.resolution if self.resolved else "",
        )

    # -- the ticket --------------------------------------------------------------------------------------

    async def _collect(self, tenant_id: str) -> tuple[Tenant, TenantActivity | None]:
        recent = ActivityRequest(tenant_id=tenant_id, since=workflow.now() - _LOOK_BACK, errors=_ERRORS)
        return await asyncio.gather(
            find_tenant(self, "5.2/1", tenant_id),
            self.attempt("5.2/2", "Activity and errors of 24 h", Tenants.recent, recent, policies.READ),
        )

    async def _open(
        self, service: Service, request: IssueEscalationRequest, tenant: Tenant, activity: TenantActivity | None
    ) -> None:
        desk = self._parts.desk
        self.phase("Ticket")
        create = CreateTicket(
            ticket_id=desk.id,
            tenant_id=tenant.tenant_id,
            priority=request.priority,
            title=f"Customer-reported issue: {request.summary}",
            description=_description(request, tenant, activity),
            opened_at=workflow.now(),
            effect=self.effect("ticket"),
        )
        await self.step("5.2/4", "Create the ticket", Support.create, create, policies.RELEASE)
        self.assignee = request.assignee or await self._on_duty(service)
        if not self.dry_run:  # in plan mode there is no ticket to work on
            await self._assign(self.assignee)
        due = workflow.now() + service.customers.update_within
        await desk.open(
            f":ticket: {desk.id} ({request.priority}) of {tenant}: {request.summary}. {self.assignee} has it; "
            f"the customer hears from us until {due:%H:%M %Z}."
        )
        self.phase("Customer told")
        eta = _spoken(service.customers.update_within)
        text = f"We've received your report and are investigating. ETA for update: {eta}"
        if not self.dry_run:
            await self._comment("the run", text, due)
        mail = {"ticket": desk.id, "summary": request.summary, "eta": eta}
        await self._parts.customer.tell("5.2/6", "issue_received", mail)
        self._due_at = due

    async def _on_duty(self, service: Service) -> str:
        request = OnCallRequest(rotation=service.on_call, at=workflow.now())
        found = await self.attempt("5.2/5", "Who is on duty", Records.on_call, request, policies.READ)
        return found.name if found else service.on_call

    async def _assign(self, to: str) -> None:
        assign = AssignTicket(ticket_id=self._parts.desk.id, to=to, effect=self.effect("assign"))
        await self.keep("5.2/5", f"Assign to {to}", Support.assign, assign)

    async def _comment(self, author: str, text: str, due: datetime | None) -> None:
        comment = CommentTicket(
            ticket_id=self._parts.desk.id,
            at=workflow.now(),
            author=author,
            text=text,
            update_due_at=due,
            effect=self.effect("comment"),
        )
        await self.keep("5.2/6", "Comment on the ticket", Support.comment, comment)

    # -- the promise -------------------------------------------------------------------------------------

    async def _keep_promises(self, service: Service) -> None:
        """Until it is resolved: remind before the promised time, then the engineer, then the lead."""
        while self.resolved is None:
            due = self._due_at or workflow.now()
            self.phase("Investigating")
            self.wait_for("update_customer or resolve")
            for at, what in self._stages(service, due):
                if await self._heard_before(at, due):
                    break
                await what()
            else:
                await workflow.wait_condition(lambda due=due: self._moved(due))  # type: ignore[misc]
            await self._resolve_pages()
        self.wait_for("")

    def _stages(self, service: Service, due: datetime) -> tuple[tuple[datetime, Callable[[], Awaitable[None]]], ...]:
        desk = self._parts.desk
        engineer = f"{self.assignee} promised an update to the customer until {due:%H:%M %Z}, and there was none"

        async def remind() -> None:
            text = f":alarm_clock: {self.assignee}: the customer was promised an update until {due:%H:%M %Z}."
            await desk.tell("reminder", text)

        async def broken() -> None:
            self._broken += 1
            self.say("deadline", f"No update to the customer until {due:%H:%M %Z}: the engineer is paged")
            await desk.escalate(engineer)

        async def lead() -> None:
            self.say("deadline", "Still no update to the customer: the lead is paged")
            await desk.escalate(f"{engineer}; the engineer has not answered either")

        early = due - (1 - _REMIND_AT) * max(due - workflow.now(), timedelta(0))
        return ((early, remind), (due, broken), (due + service.customers.lead_after, lead))

    async def _heard_before(self, at: datetime, due: datetime) -> bool:
        """Wait until a time; True as soon as the customer has been told, or the issue is resolved."""
        try:
            await workflow.wait_condition(
                lambda: self._moved(due),
                timeout=max(at - workflow.now(), timedelta(0)),
                timeout_summary=f"promise to the customer: {due:%H:%M:%S %Z}",
            )
        except TimeoutError:
            return False
        return True

    def _moved(self, due: datetime) -> bool:
        return self.resolved is not None or self._due_at != due

    async def _resolve_pages(self) -> None:
        desk = self._parts.desk
        if desk.levels:
            pages = ResolvePage(incident_id=desk.id, levels=desk.levels, effect=self.effect("resolve-page"))
            desk.levels = 0
            await self.keep("5.2", "Resolve the pages", Paging.resolve, pages)

    async def _close(self) -> None:
        desk = self._parts.desk
        word = self.resolved
        assert word is not None
        self.phase("Close")
        await workflow.wait_condition(workflow.all_handlers_finished)  # what the customer is being told comes first
        close = CloseTicket(
            ticket_id=desk.id, at=workflow.now(), resolution=word.resolution, effect=self.effect("close")
        )
        await self.step("5.2", "Close the ticket", Support.close, close, policies.RELEASE)
        await self._tell_customer(
            "solved", word.resolution, "The ticket is closed; answer to this mail to open it again."
        )
        await desk.tell("resolved", f":white_check_mark: {desk.id} is resolved: {word.resolution}")

    async def _tell_customer(self, headline: str, message: str, following: str) -> None:
        values = {"ticket": self._parts.desk.id, "headline": headline, "message": message, "next": following}
        await self._parts.customer.tell("5.2/6", "issue_update", values)
        self._updates += 1

    async def _left_open(self) -> None:
        desk = self._parts.desk
        await self._resolve_pages()
        text = f"cancelled: {desk.id} stays open, and nobody watches the promise to the customer any more"
        self.say("problem", text)
        self.finish("cancelled")
        await desk.tell("cancelled", f":warning: {text}.")
        await self.settle()

    # -- what people send --------------------------------------------------------------------------------

    @workflow.update(
        name="update_customer",
        description=described(
            "Tell the customer where things stand.",
            UpdateCustomer,
            "on-call",
            text="The queue is draining.",
            next_within="PT4H",
        ),
    )
    async def update_customer(self, word: UpdateCustomer) -> str:
        """Write into the ticket and to the customer."""
        policy = self._parts.desk.service.customers
        within = word.next_within or policy.update_within
        due, who = workflow.now() + within, f"{word.who} ({word.role})"
        self.say("decision", f"Customer told: {word.text}", who=who)
        # The promise is moved first: it is kept from here on, and the ticket's own date follows.
        self._due_at = due
        await self._comment(who, word.text, due)
        await self._tell_customer("an update", word.text, f"You will hear from us again within {_spoken(within)}.")
        return f"told; the next update is promised until {due:%Y-%m-%d %H:%M %Z}"

    @update_customer.validator
    def _check_update(self, word: UpdateCustomer) -> None:
        self._working(word)

    @workflow.update(
        name="reassign",
        description=described("Give the ticket to somebody else.", Reassign, "on-call", to="grace@example.org"),
    )
    async def reassign(self, word: Reassign) -> str:
        """Assign it."""
        await self._assign(word.to)
        self.assignee = word.to
        self.say("decision", f"Assigned to {word.to}", who=f"{word.who} ({word.role})")
        return f"{self._parts.desk.id} is {word.to}'s"

    @reassign.validator
    def _check_reassign(self, word: Reassign) -> None:
        self._working(word)

    @workflow.update(
        name="resolve",
        description=described(
            "The customer's issue is solved.", Resolve, "on-call", resolution="The queue has drained."
        ),
    )
    async def resolve(self, word: Resolve) -> str:
        """End it."""
        self.resolved = word
        self.say("decision", f"Resolved: {word.resolution}", who=f"{word.who} ({word.role})")
        return f"{self._parts.desk.id} is being closed"

    @resolve.validator
    def _check_resolve(self, word: Resolve) -> None:
        self._working(word)

    def _working(self, word: SignedWord) -> None:
        self.approvals.authorise(word, "customer")
        if self.resolved is not None:
            raise Refused("it is resolved already")
        if self.dry_run:
            raise Refused("it is only planned: there is no ticket")
        if self._due_at is None:
            raise JustStarting("the ticket is only just being opened: try again in a moment")

    @property
    def _parts(self) -> TicketParts:
        assert self.parts is not None, "what people say before is refused"
        return self.parts


def _description(request: IssueEscalationRequest, tenant: Tenant, activity: TenantActivity | None) -> str:
    """Write down all that is known."""
    errors = [f"{error.at:%Y-%m-%d %H:%M:%S %Z} {error.message}" for error in activity.errors] if activity else []
    return "\n".join(
        [
            request.details or request.summary,
            "",
            f"Customer: {tenant}, CSM {tenant.csm or 'nobody'}, SE {tenant.se or 'nobody'}",
            f"Last 24 h: {activity or 'could not be read'}",
            *errors,
        ]
    )


def _spoken(within: timedelta) -> str:
    minutes = round(within.total_seconds() / 60)
    if minutes % 60:
        return counted(minutes, "minute")
    return counted(minutes // 60, "hour")
