"""The public status page: our own records, or Atlassian Statuspage, by settings (runbook 2.2 steps 7 and 13, 6.1)."""

from datetime import datetime
from typing import Literal, Protocol, get_args

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from audit.text import shown

IncidentState = Literal["Investigating", "Identified", "Monitoring", "Resolved"]
MaintenanceState = Literal["Scheduled", "In progress", "Verifying", "Completed"]
MAINTENANCE_STATES: tuple[MaintenanceState, ...] = ("Scheduled", "In progress", "Verifying", "Completed")
"""In their order: a maintenance never goes back, whatever arrives late."""

ComponentState = Literal["operational", "under_maintenance", "degraded_performance", "partial_outage", "major_outage"]
COMPONENT_STATES: tuple[ComponentState, ...] = get_args(ComponentState)
"""From the best to the worst. Of all that is said of a component, the worst shows."""

COMPONENT_SHOWS: dict[IncidentState, ComponentState] = {
    "Investigating": "major_outage",
    "Identified": "partial_outage",
    "Monitoring": "degraded_performance",
    "Resolved": "operational",
}
"""What an incident says of its component. For our own page the view `runbooks.status_said` says the same."""


def worst(*states: str) -> str:
    """Give what shows where several incidents, maintenances and people say something of one component."""
    return max(states, key=COMPONENT_STATES.index)


class UpdateStatusPage(BaseModel):
    """`tensafe-admin statuspage update`: say something about a component; creates the page's incident if it is new."""

    component: str
    incident_id: str
    title: str
    status: IncidentState
    message: str
    effect: Effect


class LeaveStatusPage(BaseModel):
    """Say something for the last time on an incident's entry, whose run is gone.

    It goes on saying how the component is, unless it is `over`.
    """

    component: str
    incident_id: str
    message: str
    over: bool = False
    effect: Effect


class UpdateMaintenance(BaseModel):
    """`tensafe-admin statuspage maintenance schedule` (6.1): say where a maintenance stands.

    The page's entry is made when it is scheduled.
    """

    component: str
    window_id: str
    title: str
    status: MaintenanceState
    message: str
    starts_at: datetime
    ends_at: datetime
    shows: ComponentState | None = Field(default=None, description="What the component shows; None: as it is.")
    effect: Effect


class StatusPage(Protocol):
    """A status page backend; idempotent by the effect's key."""

    def update(self, request: UpdateStatusPage) -> Change:
        """Publish an update."""

    def leave(self, request: LeaveStatusPage) -> Change:
        """Publish it; not applied where there is no entry, or somebody has ended it."""

    def maintenance(self, request: UpdateMaintenance) -> Change:
        """Publish where a maintenance stands; not applied where it is further already, or over without being known."""


class StatusPages:
    """Publishes through the configured backend."""

    def __init__(self, page: StatusPage) -> None:
        self._page = page

    @activity.defn(name="statuspage.update")
    @effect
    def update(self, request: UpdateStatusPage) -> Change:
        """Publish an incident update."""
        return self._page.update(request.model_copy(update=_shown(request)))

    @activity.defn(name="statuspage.leave")
    @effect
    def leave(self, request: LeaveStatusPage) -> Change:
        """Publish a last word on the entry of an incident that nobody looks after, or that is over since."""
        return self._page.leave(request.model_copy(update={"message": shown(request.message)}))

    @activity.defn(name="statuspage.maintenance")
    @effect
    def maintenance(self, request: UpdateMaintenance) -> Change:
        """Publish where a maintenance stands (6.1)."""
        return self._page.maintenance(request.model_copy(update=_shown(request)))


def _shown(request: UpdateStatusPage | UpdateMaintenance) -> dict[str, str]:
    """Give the page's text so that nothing of it turns around, or hides, what stands beside it."""
    return {"title": shown(request.title), "message": shown(request.message)}
