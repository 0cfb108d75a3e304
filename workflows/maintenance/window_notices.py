"""Who is told of a maintenance window, and what (runbook 6.1): customers by mail, the public page, the channel.

The window's title and impact are words that a person has written for customers; everything else here is fixed.
"""

import asyncio
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.customers.tenants import Contacts, ContactsRequest, Tenants
from activities.messages.mail.mail import Mail, Recipient, SendMails
from activities.messages.status_page.status_page import (
    ComponentState,
    MaintenanceState,
    StatusPages,
    UpdateMaintenance,
)
from audit.text import counted
from workflows.platform import policies
from workflows.platform.lease import Lease
from workflows.shared.desk import Desk

_AT_ONCE = 100
"""Mails that one step sends."""


class WindowNotices:
    """Tells of one window; remembers who has been told."""

    def __init__(self, desk: Desk, title: str, impact: str, lease: Lease, tenants: list[str] | None) -> None:
        self.desk = desk
        self.run = desk.run
        self.title = title
        self.impact = impact
        self.lease = lease
        self.announced = False
        self._tenants = tenants
        self._told: list[Recipient] = []
        self._late: asyncio.Task[Any] | None = None

    @property
    def when(self) -> str:
        """From when to when, in the service's time zone and in UTC."""
        return span(self.lease.acquired_at, self.lease.until, self.desk.service.time_zone)

    @property
    def until(self) -> str:
        """Until when, in the service's time zone and in UTC."""
        return moment(self.lease.until, self.desk.service.time_zone)

    async def contacts(self) -> Contacts | None:
        """Read whom to write to; None where the records don't answer."""
        request = ContactsRequest(tenants=self._tenants)
        return await self.run.attempt("6.1", "Customers", Tenants.contacts, request, policies.EFFECT)

    async def announce(self) -> None:
        """Tell customers, schedule it on the page, tell the channel (before the maintenance)."""
        self.announced = True
        await asyncio.gather(
            self._announce_by_mail(),
            self.page("Scheduled", f"Planned maintenance: {self.title}. {self.when}. {self.impact}"),
            self.desk.open(f":calendar: *{self.desk.title}* ({self.desk.id})\n{self.when}\n{self.impact}"),
        )

    async def started(self) -> None:
        """Say that it is in progress."""
        await asyncio.gather(
            self.page("In progress", "The planned maintenance is in progress.", shows="under_maintenance"),
            self.desk.tell("started", f":construction: Maintenance is in progress until {self.until}."),
        )

    async def extended(self) -> None:
        """Say that it takes longer."""
        await asyncio.gather(
            self.page("In progress", f"The maintenance takes longer than planned: until {self.until}."),
            self.desk.tell("extended", f":hourglass: The window is extended until {self.until}."),
        )

    async def verifying(self) -> None:
        """Say that it is being checked."""
        await self.page("Verifying", "The maintenance work is done. We are checking that everything works.")

    async def over(self, message: str, shows: ComponentState | None) -> None:
        """Complete it on the page; what the component shows is what was seen of the service."""
        if self.announced:
            await self.page("Completed", message, shows=shows)

    async def mail_the_end(self, how: str, what: str) -> None:
        """Tell whoever was told of it that it ends otherwise."""
        await self._mail("maintenance_cancelled", {**self._values(), "how": how, "what": what})

    async def page(self, status: MaintenanceState, message: str, shows: ComponentState | None = None) -> None:
        """Publish; tried on in the background for a day, until something newer is to be said."""
        if self._late is not None and not self._late.done():
            self._late.cancel()
            await asyncio.gather(self._late, return_exceptions=True)
        step = f"page-{status.lower().replace(' ', '-')}"
        request = UpdateMaintenance(
            component=self.desk.service.status_component,
            window_id=self.desk.id,
            title=f"{self.desk.service.product} maintenance: {self.title}",
            status=status,
            message=message,
            starts_at=self.lease.acquired_at,
            ends_at=self.lease.until,
            shows=shows,
            effect=self.run.effect(step),
        )
        publish = self.run.attempt
        if await publish("6.1", f"Status page: {status}", StatusPages.maintenance, request, policies.RECORD) is None:
            self._late = self.run.background(
                publish("6.1", f"Status page: {status}, late", StatusPages.maintenance, request, policies.PERSIST)
            )

    async def _announce_by_mail(self) -> None:
        found = await self.contacts()
        if found is None:
            await self.desk.escalate("customers could not be told of the maintenance: the records don't answer")
            return
        self._told = [Recipient(to=each.email, name=each.name) for each in found.items]
        await self._mail("maintenance_scheduled", self._values())

    async def _mail(self, template: str, values: dict[str, str]) -> None:
        missed: list[str] = []
        for first in range(0, len(self._told), _AT_ONCE):
            recipients = self._told[first : first + _AT_ONCE]
            request = SendMails(
                recipients=recipients, template=template, values=values, effect=self.run.effect(f"mail-{template}")
            )
            policy = policies.WAIT.lasting(policies.WAIT.start_to_close)
            try:
                sent = await self.run.step("6.1", f"Mail: {template}", Mail.send_all, request, policy)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                missed += [each.to for each in recipients]
            else:
                missed += sent.refused
        if missed:
            text = f"{counted(len(missed), 'customer')} could not be told of the maintenance"
            self.run.say("problem", text, section="6.1")
            await self.desk.tell("not-told", f":warning: {text}: the run's steps say who")

    def _values(self) -> dict[str, str]:
        zone = ZoneInfo(self.desk.service.time_zone)
        return {
            "product": self.desk.service.product,
            "title": self.title,
            "impact": self.impact,
            "when": self.when,
            "day": f"{self.lease.acquired_at.astimezone(zone):%Y-%m-%d}",
        }


def moment(at: datetime, zone: str) -> str:
    """Say when, in a time zone and in UTC; the day only once where it is the same."""
    local, utc = at.astimezone(ZoneInfo(zone)), at.astimezone(UTC)
    if zone == "UTC":
        return f"{utc:%Y-%m-%d %H:%M} UTC"
    return f"{local:%Y-%m-%d %H:%M %Z} ({utc:{'%H:%M' if utc.date() == local.date() else '%Y-%m-%d %H:%M'}} UTC)"


def span(starts_at: datetime, ends_at: datetime, zone: str) -> str:
    """Say from when to when; each end in its own offset, since clocks may change in between."""
    told = _from_to(starts_at.astimezone(ZoneInfo(zone)), ends_at.astimezone(ZoneInfo(zone)))
    if zone == "UTC":
        return told
    return f"{told} ({_from_to(starts_at.astimezone(UTC), ends_at.astimezone(UTC))})"


def _from_to(first: datetime, last: datetime) -> str:
    """Say the day and the zone once where they are the same at both ends."""
    zone = "%H:%M" if first.tzname() == last.tzname() else "%H:%M %Z"
    until = "%H:%M %Z" if first.date() == last.date() else "%Y-%m-%d %H:%M %Z"
    return f"{first:%Y-%m-%d} {first:{zone}} to {last:{until}}"
