"""Day 0 of an onboarding (runbook 5.1): the tenant, its key, its administrator, and the mails that tell of them."""

from datetime import date, datetime, timedelta
from typing import Annotated, Protocol
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.text import Key, Name
from activities.common.times import Time
from activities.customers.api_keys import ApiKeys, IssueKey
from activities.customers.tenant_records import AssignPeople, CreateTenant, CreateUser, Tier
from activities.customers.tenants import Tenants
from activities.messages.mail.calendars import Meeting
from workflows.customer_operations.tenant_ids import pinned
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.customers import Customer, new_id
from workflows.shared.desk import Desk

_WEEKEND = 5


class Contract(Protocol):
    """What is known when it is signed."""

    name: str
    tenant_id: str | None
    tier: Tier
    contact_name: str
    email: str
    csm: str
    se: str
    renews_on: Annotated[date | None, Time(made_fit=True)]


class Account(BaseModel):
    """The tenant, and where its secrets wait."""

    tenant_id: Name
    name: Name
    tier: Tier
    contact_name: Name
    email: Key
    csm: Name
    se: Name
    renews_on: Annotated[date | None, Time(made_fit=True)]
    key_id: Key
    key_handover: Key
    password_handover: Key
    kickoff_at: Annotated[datetime | None, Time(made_fit=True)] = None

    @classmethod
    def of(cls, run: Runbook, contract: Contract) -> "Account":
        """Choose its IDs."""
        return cls(
            tenant_id=pinned(contract.tenant_id or "", contract.name),
            name=contract.name,
            tier=contract.tier,
            contact_name=contract.contact_name,
            email=contract.email,
            csm=contract.csm,
            se=contract.se,
            renews_on=contract.renews_on,
            key_id=new_id(run, "tsk"),
            key_handover=new_id(run, "ho"),
            password_handover=new_id(run, "ho"),
        )


class Tick(Protocol):
    """How an item of the checklist is ticked."""

    def __call__(self, item_id: str, *, by: str, note: str = "") -> None:
        """Tick it."""


def meeting_day(service: Service, at: datetime) -> datetime:
    """Give the meeting's time on that day in the service's time zone; on Monday where it is a weekend."""
    zone = ZoneInfo(service.time_zone)
    day = at.astimezone(zone).date()
    if day.weekday() >= _WEEKEND:
        day += timedelta(days=7 - day.weekday())
    return datetime.combine(day, service.customers.onboarding.meeting_at, zone)


class Day0:
    """Creates the account and tells its people."""

    def __init__(self, run: Runbook, desk: Desk, service: Service, account: Account, tick: Tick) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.account = account
        self._tick = tick

    async def begin(self, kickoff_at: datetime | None) -> None:
        """Do all of day 0; in plan mode only what can be tried without the tenant.

        Raises:
            ActivityError: the tenant can't be created: nothing has changed.

        """
        account = self.account
        days = self.service.customers.onboarding
        account.kickoff_at = kickoff_at or meeting_day(self.service, workflow.now() + days.kickoff_after)
        self.run.phase("Day 0: Contract signed")
        create = CreateTenant(
            tenant_id=account.tenant_id,
            name=account.name,
            tier=account.tier,
            contact_name=account.contact_name,
            email=account.email,
            renews_on=account.renews_on,
            effect=self.run.effect("tenant"),
        )
        await self.run.step("5.1", "Create the tenant", Tenants.create, create, policies.EFFECT)
        if self.run.dry_run:
            for what in ("issue an API key", f"create the administrator {account.email}", "send the welcome mails"):
                self.run.say("decision", f"would {what}", section="5.1")
            return
        self._tick("tenant", by="the run", note=account.tenant_id)
        await self.desk.open(f":tada: {account.name} has signed: the onboarding of `{account.tenant_id}` begins.")
        await self._secrets()
        await self._people()
        await self.welcome()

    async def _secrets(self) -> None:
        # From here on the tenant is there: however long the records are away, the rest of day 0 is brought through.
        account = self.account
        key = IssueKey(
            key_id=account.key_id,
            tenant_id=account.tenant_id,
            handover_id=account.key_handover,
            effect=self.run.effect("issue"),
        )
        await self.run.step("5.1", "Issue the API key", ApiKeys.issue, key, policies.RELEASE)
        self._tick("api-key", by="the run", note=account.key_id)
        admin = CreateUser(
            tenant_id=account.tenant_id,
            email=account.email,
            name=account.contact_name,
            handover_id=account.password_handover,
            effect=self.run.effect("admin"),
        )
        await self.run.step("5.1", "Create the administrator", Tenants.create_user, admin, policies.RELEASE)
        self._tick("admin", by="the run", note=account.email)

    async def _people(self) -> None:
        account = self.account
        if not (account.csm or account.se):
            return
        people = AssignPeople(
            tenant_id=account.tenant_id,
            csm=account.csm or None,
            se=account.se or None,
            effect=self.run.effect("assign"),
        )
        await self.run.step("5.1", "Assign CSM and SE", Tenants.assign, people, policies.RELEASE)
        if account.csm and account.se:
            self._tick("people-assigned", by="the run", note=f"{account.csm}, {account.se}")

    async def welcome(self) -> bool:
        """Send the welcome, with the first password and the kickoff's invitation, and the key in a mail of its own.

        False where they are not taken: people are told, and can have them sent again.
        """
        account, kickoff = self.account, self.account.kickoff_at or workflow.now()
        # Sent again after weeks, it invites nobody to a call that has been.
        over = kickoff < workflow.now() and workflow.patched("kickoff-is-over")
        customer = self._customer(account.contact_name, account.email)
        values = {
            "tenant": account.tenant_id,
            "email": account.email,
            "csm": account.csm,
            "when": "" if over else self._when(kickoff),
        }
        meeting = None if over else self._meeting("Kickoff call", kickoff)
        try:
            await customer.mail("5.1", "welcome", values, handover_id=account.password_handover, meeting=meeting)
            key = {"new_key": account.key_id}
            await customer.mail("5.1", "api_key_issued", key, handover_id=account.key_handover)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            await self.desk.tell(
                "not welcomed",
                f":warning: the welcome to {account.email} was not taken: correct the address and send it again with "
                f"`runbooks onboarding resend {workflow.info().workflow_id} --email …`",
            )
            return False
        self._tick("welcome", by="the run", note=account.email)
        if over:
            return True
        self._tick("kickoff-scheduled", by="the run", note=self._when(kickoff))
        await self._invite_us("Kickoff call", kickoff)
        return True

    async def invite(self, title: str, at: datetime) -> None:
        """Invite the customer, the CSM and the SE to a meeting."""
        account = self.account
        values = {"title": title, "tenant": account.name, "when": self._when(at)}
        customer = self._customer(account.contact_name, account.email)
        await customer.tell("5.1", "meeting", values, meeting=self._meeting(title, at))
        await self._invite_us(title, at)

    async def _invite_us(self, title: str, at: datetime) -> None:
        values = {"title": title, "tenant": self.account.name, "when": self._when(at)}
        for person in (self.account.csm, self.account.se):
            if "@" in person:
                ours = self._customer(person.partition("@")[0], person)
                await ours.tell("5.1", "meeting", values, meeting=self._meeting(title, at))

    def _customer(self, name: str, email: str) -> Customer:
        return Customer(self.run, self.service, name, email)

    def _meeting(self, title: str, at: datetime) -> Meeting:
        people = (self.account.email, self.account.csm, self.account.se)
        return Meeting(
            title=f"{self.service.product}: {title} of {self.account.name}",
            start=at,
            time_zone=self.service.time_zone,
            attendees=tuple(person for person in people if "@" in person),
        )

    def _when(self, at: datetime) -> str:
        return f"{at.astimezone(ZoneInfo(self.service.time_zone)):%A %Y-%m-%d %H:%M %Z}"
