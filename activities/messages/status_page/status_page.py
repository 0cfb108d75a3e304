"""The public status page: our own records, or Atlassian Statuspage, by settings (runbook 2.2 steps 7 and 13)."""

from typing import Literal, Protocol

from pydantic import BaseModel
from temporalio import activity

from activities.common.effects import Change, Effect, effect

IncidentState = Literal["Investigating", "Identified", "Monitoring", "Resolved"]


class UpdateStatusPage(BaseModel):
    """`tensafe-admin statuspage update`: say something about a component; creates the page's incident if it is new."""

    component: str
    incident_id: str
    title: str
    status: IncidentState
    message: str
    effect: Effect


class StatusPage(Protocol):
    """A status page backend; idempotent by the effect's key."""

    def update(self, request: UpdateStatusPage) -> Change:
        """Publish an update."""


class StatusPages:
    """Publishes through the configured backend."""

    def __init__(self, page: StatusPage) -> None:
        self._page = page

    @activity.defn(name="statuspage.update")
    @effect
    def update(self, request: UpdateStatusPage) -> Change:
        """Publish an incident update."""
        return self._page.update(request)
