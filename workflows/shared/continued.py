"""An incident that goes from one run to another: a P2 raised to P1, a P1 that takes a P2 in (runbook 2.3)."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import FailureError

from activities.catalogue.run_ids import run_id
from activities.catalogue.service import Service
from activities.common.refusable import Refusable
from activities.common.severity import Severity
from activities.common.text import Key, Shown, ShownLine
from activities.common.times import Time
from activities.evidence.evidence import StoredEvidence
from activities.messages.chat.chat import Message
from activities.records.activities import Records
from activities.records.alerts import Alert
from activities.records.incidents import OpenIncident, OpenIncidentsRequest
from workflows.platform import policies
from workflows.platform.policies import Policy
from workflows.platform.runbook import Runbook

JOINED, TAKEN_IN, HANDED_OVER = "joined", "taken_in", "handed_over"


def p1_run_id(service: str) -> str:
    """Give the ID of the one P1 run that a service has at a time."""
    return run_id("p1-incident", service)


def hands_over(run: Runbook) -> bool:
    """Tell whether a run began when a P1 came to go on with the incident of an open P2."""
    return run.pinned is not None and run.pinned.takes_over


class IncidentSoFar(BaseModel):
    """An incident as the run that had it hands it on; pinned in the history of the run that goes on with it."""

    incident_id: Key
    opened_at: Annotated[datetime, Time(made_fit=True)]
    commander: ShownLine = ""
    thread: Message | None = None
    levels: int = Field(default=0, description="Levels that were paged.")
    evidence: list[StoredEvidence] = Field(default_factory=list)
    why: Shown = Field(description="Why it goes on in another run, in a sentence.")


class Joined(Refusable):
    """Somebody else has met the same trouble: it joins the incident that is open."""

    what: Shown = Field(description="What would have been another incident.")
    who: ShownLine = ""
    alert: Alert | None = None
    severity: Severity | None = Field(
        default=None, description="How severe it was found; what is P1 is raised, if it isn't P1 already."
    )


class TakenIn(Refusable):
    """A more severe run of the same service takes this incident in."""

    incident_id: Key = Field(description="Of the incident that goes on.")
    workflow_id: Key = Field(
        default="", description="The run that goes on with this very incident; empty where it has one of its own."
    )
    why: Shown = Field(default="", description="What makes it more severe, in a sentence.")


class HandedOver(Refusable):
    """The answer to a run that would go on with an incident."""

    so_far: IncidentSoFar | None = Field(description="None: it is being closed, or is another's already.")
    alerts: list[Alert] = Field(default_factory=list, description="Those of its alerts that still fire.")


async def open_incidents(
    run: Runbook, section: str, service: Service, severities: list[Severity], policy: Policy = policies.READ
) -> list[OpenIncident]:
    """Read the service's open incidents that other runs look after, the most severe first; none where none is readable.

    A run goes on alone then, and the timeline says so.
    """
    request = OpenIncidentsRequest(service=service.name, severities=severities)
    found = await run.attempt(section, "Open incidents", Records.open_incidents, request, policy)
    others = [one for one in found.led if one.workflow_id != workflow.info().workflow_id] if found else []
    return sorted(others, key=lambda one: (one.severity, one.opened_at))


async def tell(run: Runbook, other: OpenIncident, signal: str, text: BaseModel) -> bool:
    """Tell the run that looks after another incident; False where that run has ended."""
    if not other.workflow_id:
        return False
    if await reach(other.workflow_id, signal, text):
        return True
    run.say("problem", f"{other.incident_id} is open in the records, but its run {other.workflow_id} has ended")
    return False


async def reach(workflow_id: str, signal: str, text: BaseModel) -> bool:
    """Send a signal to a run; False where none of that ID is open."""
    try:
        await workflow.get_external_workflow_handle(workflow_id).signal(signal, text)
    except FailureError:
        return False
    return True
