"""Ends what a left incident has kept up, once a later one of its service is closed: its page and its public entry.

`SweepHolds` starts it. Who closed the later one has looked, and the service said that it was healthy.
"""

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.holds.left_incidents import EndLeftBehind, IncidentsLeft, LeftIncident
from activities.messages.paging.paging import Paging, ResolvePage
from activities.messages.status_page.status_page import LeaveStatusPage, StatusPages
from workflows.platform import policies
from workflows.shared.incident import RESOLVED
from workflows.upkeep.own_steps import done, options, own_effect

_ACTOR = "sweep-holds"


class EndLeftIncidentRequest(BaseModel):
    """What was found."""

    left: LeftIncident = Field(description="People were told before that nobody looks after it.")


@workflow.defn
class EndLeftIncident:
    """Page and public entry, then the note that it is done."""

    @workflow.run
    async def run(self, request: EndLeftIncidentRequest) -> str:
        """Do it; gives what the records say.

        Raises:
            ActivityError: it could not be noted now; the next sweep does it again, which changes nothing more.

        """
        left = request.left
        number = left.entry.incident_id
        withdraw = ResolvePage(incident_id=number, levels=left.levels, effect=own_effect("resolve-page", _ACTOR))
        public = LeaveStatusPage(
            component=left.component,
            incident_id=number,
            message=RESOLVED,
            over=True,
            effect=own_effect("status-page", _ACTOR),
        )
        await done("Withdraw its page", Paging.resolve, withdraw)
        await done("Status page: it is over", StatusPages.leave, public)
        end = EndLeftBehind(entry=left.entry, effect=own_effect("end", _ACTOR))
        change = await workflow.execute_activity_method(
            IncidentsLeft.end_left_behind, end, summary=f"Nothing is left of {number}", **options(policies.EFFECT)
        )
        return str(change)
