"""A service in maintenance: real records, status page, pages and mails; health and database as the test says."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.procedures import Procedures
from activities.catalogue.windows import WindowPolicy
from activities.common.effects import Change
from activities.messages.status_page.records import RecordsStatusPage
from activities.messages.status_page.status_page import StatusPages
from activities.monitoring.silences import LiftSilence, SetSilence
from activities.records.windows import MaintenanceWindows
from tests.workflows.worlds.busy_database import BusyDatabase
from tests.workflows.worlds.company import Company
from tests.workflows.worlds.world import instead
from workers.later import activities_of
from workers.procedure_inputs import build


class Maintained(BusyDatabase):
    """Customers, and nothing wrong unless the test makes it so."""

    def __init__(self, company: Company, *, tenants: tuple[str, ...] = ("acme", "globex"), **policy: Any) -> None:
        super().__init__()
        self.company = company
        self.service = self.service.model_copy(update={"window": WindowPolicy(**policy)})
        company.service = self.service
        self.mailboxes = [company.tenant(tenant) for tenant in tenants]
        self.silenced: dict[str, datetime] = {}

    def activities(self) -> list[Callable[..., Any]]:
        pool = self.company.pool
        systems = (
            MaintenanceWindows(pool),
            StatusPages(RecordsStatusPage(pool)),
            Procedures(build),
        )
        real = [
            each
            for system in systems
            for each in activities_of(type(system), lambda system=system: system)  # type: ignore[misc]
        ]
        known = instead(super().activities(), *self.company.activities(), *real)
        return instead(known, *self._silences())

    def _silences(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="silences.set")
        def silence(request: SetSilence) -> Change:
            if "silences" in world.down:
                raise ApplicationError("Alertmanager did not answer", type="Unavailable", non_retryable=True)
            if applied := world._done("silences.set", request):
                world.silenced[request.hold] = request.ends_at
            return Change(target="silence", after="silenced", applied=applied)

        @activity.defn(name="silences.lift")
        def lift(request: LiftSilence) -> Change:
            world._done("silences.lift", request)
            return Change(target="silence", after="lifted", applied=bool(world.silenced.pop(request.hold, None)))

        return [silence, lift]

    # -- what is there afterwards ------------------------------------------------------------------------------

    def windows(self) -> list[tuple[str, str]]:
        """Status and outcome of each, the oldest first."""
        return self.company.rows("SELECT status, outcome FROM runbooks.maintenance_windows ORDER BY created_at")

    def notices(self) -> list[tuple[str, str]]:
        """What the page said, and what the component shows."""
        return self.company.rows("SELECT status, component_shows FROM runbooks.maintenance_notices ORDER BY id")

    def subjects(self) -> list[list[str]]:
        """What each customer has got."""
        return [self.company.subjects(mailbox) for mailbox in self.mailboxes]

    def chat(self) -> str:
        """All that was said in the channel."""
        return "\n".join(text for (text,) in self.company.rows("SELECT text FROM runbooks.messages ORDER BY id"))

    def pages(self) -> list[str]:
        """Whom nobody has withdrawn the page of."""
        return [text for (text,) in self.company.rows("SELECT summary FROM runbooks.pages WHERE resolved_at IS NULL")]

    def closed(self) -> bool:
        """Whether nothing is left silenced or in progress."""
        still = [status for status, _ in self.windows() if status in {"scheduled", "in_progress"}]
        latest = self.company.rows(
            "SELECT DISTINCT ON (window_id) status FROM runbooks.maintenance_notices ORDER BY window_id, id DESC"
        )
        return not self.silenced and not still and all(status == "Completed" for (status,) in latest)
