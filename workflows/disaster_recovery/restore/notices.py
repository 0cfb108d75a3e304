"""Who is told of a restore: the channel, the status page, and the customers whose writes may be lost (7.3 step 7)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.service import Service
from activities.customers.tenants import Tenants, UsedSinceRequest
from activities.messages.status_page.status_page import IncidentState, StatusPages, UpdateStatusPage
from activities.monitoring.health import HealthChecks, SteadyRequest
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.customers import Customer
from workflows.shared.desk import Desk

_AT_ONCE = 10
_LOOK = timedelta(hours=1)
"""One step of the history: watched more finely, a day of it would be thousands."""
_LOOKS = 24
"""Who has been paged and has not mended it in a day will not write to customers by this run."""
_EVERY = timedelta(seconds=10)
_YOURS = (
    "the status page says that we work on it, and customers are not told that their data is back: tell them by hand"
)


class Notices:
    """One restore's side of the conversation with those outside."""

    def __init__(self, run: Runbook, desk: Desk, service: Service) -> None:
        self.run = run
        self.desk = desk
        self.service = service
        self.told = 0
        self.not_told: list[str] = []

    async def publish(self, status: IncidentState, message: str) -> None:
        """Say something on the status page."""
        await self.run.keep(
            self.run.SECTION,
            f"Status page: {status}",
            StatusPages.update,
            UpdateStatusPage(
                component=self.service.status_component,
                incident_id=self.desk.id,
                title="Data recovery",
                status=status,
                message=message,
                effect=self.run.effect(f"status-{status.lower()}"),
            ),
        )

    async def once_well(self, unwell: str, then: Callable[[], Awaitable[None]]) -> None:
        """Tell those outside what is so: `unwell` now, and by `then` that it is over when the service is well.

        That ends after a day, and when the run is cancelled: people are told that the public's entry is theirs.
        """
        await self.publish("Monitoring", unwell)
        request = SteadyRequest(
            url=self.service.health_url,
            steady_for=self.service.incident.steady_for,
            give_up_after=_LOOK,
            every=_EVERY,
        )
        try:
            for _ in range(_LOOKS):
                limit = policies.WAIT.lasting(_LOOK)
                seen = await self.run.attempt("7.3/7", "The service is well", HealthChecks.steady, request, limit)
                if seen is not None and seen.steady:
                    await then()
                    return
            await self.desk.escalate(f"{self.service.name} has not been well for a day: {_YOURS}")
        except (asyncio.CancelledError, ActivityError) as error:
            if not is_cancelled_exception(error):
                raise
            self.run.say("problem", f"Nobody waits any more for {self.service.name} to be well: {_YOURS}")
            await self.desk.tell("left to people", f":warning: {self.service.name} is not seen to be well: {_YOURS}")

    async def customers(self, since: datetime, until: datetime, message: str) -> None:
        """Write to everybody who has used the service since the target."""
        affected = await self.run.attempt(
            "7.3/7", "Customers affected", Tenants.used_since, UsedSinceRequest(since=since), policies.COLLECT
        )
        if affected is None:
            await self.desk.escalate("it could not be read which customers are affected: tell them by hand")
            return
        values = {
            "message": message,
            "since": f"{since:%Y-%m-%d %H:%M:%S %Z}",
            "until": f"{until:%Y-%m-%d %H:%M:%S %Z}",
        }
        room = asyncio.Semaphore(_AT_ONCE)

        async def write(tenant_id: str, name: str, email: str) -> None:
            async with room:
                customer = Customer(self.run, self.service, name, email)
                if await customer.tell("7.3/7", "data_restored", values) is None:
                    self.not_told.append(tenant_id)
                else:
                    self.told += 1

        await asyncio.gather(*(write(one.tenant_id, one.contact_name, one.email) for one in affected.items))
        if self.not_told:
            await self.desk.tell(
                "not told", f":warning: Not told yet, and tried for a day: {', '.join(sorted(self.not_told)[:50])}"
            )
