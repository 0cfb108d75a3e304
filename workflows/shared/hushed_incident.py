"""An incident of a service that may be in a maintenance window: kept, and nobody paged (6.1; ARCHITECTURE, rule 11).

Whoever pages looks at the moment of paging. What can't be read is no window: then people are paged as ever. Runs from
before there were windows are told apart by what their first step has pinned; a `patched` right behind that local
activity would not replay for sure where the worker was so busy that it took more than one workflow task.
"""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

from activities.messages.status_page.status_page import IncidentState
from activities.records.windows import CurrentWindowRequest, MaintenanceWindows, Window
from workflows.platform import policies
from workflows.shared.incident import Incident

_FRESH = timedelta(seconds=10)


class HushedIncident(Incident):
    """An incident that leaves a service to its maintenance while that lasts."""

    _unpaged = False
    _left_to = ""
    _look: "asyncio.Task[Window | None] | None" = None
    _looked_at: datetime

    async def left_to_maintenance(self) -> bool:
        """Tell whether the service is in a window, which is then left to mend it; pages once that is over."""
        window = await self._window_now()
        if window is None:
            if self._unpaged:
                self._unpaged = False
                await self.page("the maintenance is over, and it is not well")
            return False
        if self._left_to != window.window_id:
            self._left_to = window.window_id
            self.run.say("decision", f"The service is in maintenance, {window}: watching for health")
        return True

    async def page(self, why: str) -> None:
        """Page the on-call, unless the service is in a window: then the channel is told, and the incident kept."""
        window = await self._window()
        if window is None:
            await super().page(why)
            return
        self._unpaged = True
        self.run.say("decision", f"Nobody is paged ({why}): the service is in maintenance, {window}")
        await self.tell(
            "not-paged",
            f":construction: {self.id}, {why}: nobody is paged, since a window is on, {window}. It is kept.",
        )

    async def status_page(self, section: str, status: IncidentState, message: str) -> None:
        """Publish, unless the page says already that the service is in maintenance."""
        if not self.published and await self._window() is not None:
            self.run.say("decision", f"The status page isn't told ({status}): it says that there is maintenance")
            return
        await super().status_page(section, status, message)

    async def _window_now(self) -> Window | None:
        """Look, unless the look for a page has only just begun: no mitigation waits for a second one."""
        look, self._look = self._look, None
        if look is not None and workflow.now() - self._looked_at < _FRESH:
            return await asyncio.shield(look)
        return await self._window()

    async def _window(self) -> Window | None:
        if not self.run.looks_at_windows:
            return None
        self._looked_at = workflow.now()
        look = self._look = self.run.background(self._read())
        return await asyncio.shield(look)

    async def _read(self) -> Window | None:
        found = await self.run.attempt(
            "6.1",
            "Maintenance windows",
            MaintenanceWindows.current,
            CurrentWindowRequest(service=self.service.name, at=workflow.now()),
            policies.GLANCE,
        )
        return found.window if found else None
