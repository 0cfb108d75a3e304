"""Says everywhere that nobody looks after an incident any more; `SweepHolds` starts it.

The service may still be down: its run was terminated, and has seen no end. So nothing is called resolved here. People
are paged once, and the public page goes on saying what it says.
"""

import asyncio
from typing import get_args

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities.common.severity import Severity
from activities.holds.left_incidents import IncidentsLeft, Leave, LeftIncident
from activities.messages.chat.chat import PostMessage, Slack, escaped
from activities.messages.paging.paging import PageOnCall, Paging, ResolvePage
from activities.messages.status_page.status_page import LeaveStatusPage, StatusPages
from activities.records.activities import Records
from activities.records.incidents import OpenIncident, OpenIncidentsRequest
from activities.records.left_incidents import LEFT
from activities.records.windows import CurrentWindowRequest, MaintenanceWindows
from workflows.platform import policies
from workflows.shared.incident import NO_MORE_UPDATES
from workflows.upkeep.own_steps import done, options, own_effect

_ACTOR = "sweep-holds"
_SEVERITIES = get_args(Severity)
_UNSURE = "open"
"""How far an incident has come that nobody has seen mitigated."""
_STAYS_HELD = "What it has isolated, cordoned or blocked stays so, and nobody is reminded of its legal deadlines. "


class LeaveIncidentRequest(BaseModel):
    """What was found."""

    left: LeftIncident = Field(description="Open in the records; its run has ended.")


@workflow.defn
class LeaveIncident:
    """Records, pages, thread and public page, each once."""

    @workflow.run
    async def run(self, request: LeaveIncidentRequest) -> str:
        """Do it; gives what the records say.

        Raises:
            ActivityError: the records could not be written now; the next sweep tries again.

        """
        left = request.left
        leave = Leave(left=left, at=workflow.now(), effect=own_effect("leave", _ACTOR))
        change = await workflow.execute_activity_method(
            IncidentsLeft.leave, leave, summary=f"Nobody looks after {left.entry}", **options(policies.EFFECT)
        )
        if change.applied or change.after == LEFT:
            newer = await self._newer(left)
            paged = newer is None and await self._is_to_be_paged(left)
            tell = self._tell(left, newer, paged=paged)
            await asyncio.gather(self._page(left, paged=paged), self._publish(left), tell)
        return str(change)

    async def _newer(self, left: LeftIncident) -> OpenIncident | None:
        """Look whether the service has another incident by now, as severe: an alert that fires on begins one."""
        if left.entry.kind == "security incident":
            return None
        as_severe = [severity for severity in _SEVERITIES if severity <= left.entry.severity]
        try:
            found = await workflow.execute_activity_method(
                Records.open_incidents,
                OpenIncidentsRequest(service=left.entry.service, severities=as_severe),
                summary="Open incidents of the service",
                **options(policies.GLANCE),
            )
        except ActivityError:
            return None
        return next((one for one in reversed(found.led) if one.opened_at > left.entry.opened_at), None)

    async def _is_to_be_paged(self, left: LeftIncident) -> bool:
        """Tell whether somebody is to be woken: not for what was well, is of long ago, or is in maintenance."""
        if left.entry.status != _UNSURE or not left.lately:
            return False
        try:
            found = await workflow.execute_activity_method(
                MaintenanceWindows.current,
                CurrentWindowRequest(service=left.entry.service, at=workflow.now()),
                summary="Maintenance windows",
                **options(policies.GLANCE),
            )
        except ActivityError:
            return True
        return found.window is None or left.entry.kind == "security incident"

    async def _page(self, left: LeftIncident, *, paged: bool) -> None:
        """Withdraw what it has paged, and page once more: that one says that nobody is at it."""
        entry = left.entry
        withdraw = ResolvePage(
            incident_id=entry.incident_id, levels=left.levels, effect=own_effect("resolve-page", _ACTOR)
        )
        await done("Withdraw its pages", Paging.resolve, withdraw)
        if not paged:
            return
        page = PageOnCall(
            incident_id=entry.incident_id,
            service=entry.service,
            severity=entry.severity,
            rotation=left.rotation,
            summary=f"{entry.title or entry.kind.capitalize()}: {left.because} Start anew: {left.anew}",
            effect=own_effect("page", _ACTOR),
        )
        await done("Page the on-call", Paging.page, page)

    async def _publish(self, left: LeftIncident) -> None:
        if left.entry.kind == "incident":
            entry = LeaveStatusPage(
                component=left.component,
                incident_id=left.entry.incident_id,
                message=NO_MORE_UPDATES,
                effect=own_effect("status-page", _ACTOR),
            )
            await done("Status page: no further updates", StatusPages.leave, entry)

    async def _tell(self, left: LeftIncident, newer: OpenIncident | None, *, paged: bool) -> None:
        text = told(left, newer, paged=paged)
        post = PostMessage(
            channel=left.channel, text=escaped(text), opened_by=left.entry.thread, effect=own_effect("tell", _ACTOR)
        )
        await done("Tell the channel", Slack.post, post)


def told(left: LeftIncident, newer: OpenIncident | None, *, paged: bool) -> str:
    """Say to people what has become of it, and what they can do."""
    entry = left.entry
    whose = f" {entry.commander}:" if entry.commander else ""
    title = f" ({entry.severity}, {entry.title})" if entry.title else f" ({entry.severity})"
    because = left.because.replace(entry.incident_id, f"{entry.incident_id}{title}", 1)
    if entry.kind == "security incident":
        state = _STAYS_HELD
    elif entry.status == _UNSURE and left.lately:
        state = f"{entry.service} may still be down: look at it. "
    else:
        state = f"It was {'not mitigated' if entry.status == _UNSURE else entry.status} then. "
    page = f"Its pages are withdrawn; {left.rotation} is paged once more. " if paged else "Its pages are withdrawn. "
    public = (
        ""
        if entry.kind == "security incident"
        else (" What the public page says of it stays until the new one is closed, or somebody ends it there.")
    )
    go_on = f"Go on with {newer.severity} {newer.incident_id}, which is open" if newer else f"Start anew: `{left.anew}`"
    return (
        f":rotating_light:{whose} {because} {state}{page}What it has asked can't be answered any more. {go_on}.{public}"
    )
