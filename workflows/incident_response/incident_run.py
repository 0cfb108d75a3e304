"""What a P1 and a P2 have in common: a run that looks after one incident, and how it begins and is cancelled."""

import asyncio
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import Field
from temporalio import workflow

from activities.catalogue.service import Mitigation, Service
from activities.common.severity import Severity
from activities.common.text import Name
from workflows.platform.requests import ServiceRequest
from workflows.platform.run_status import Note
from workflows.platform.runbook import Runbook
from workflows.shared.hushed_incident import HushedIncident
from workflows.shared.one_a_service import require_its_id
from workflows.shared.shared_causes import RELATED, Related, SharedCauses

TITLE = 200
"""Characters of an incident's title."""


class IncidentRequest(ServiceRequest):
    """Start an incident; everything has a default where the catalogue has one service."""

    title: Name | None = Field(default=None, description="What the incident is called.")
    commander: Name | None = Field(default=None, description="The on-call, where nobody is named.")
    mitigation: Literal["auto", "approve"] | None = Field(
        default=None, description="Overrides the service's policy for this run."
    )

    def unasked(self, service: Service) -> bool:
        """Tell whether what is clear is done without asking."""
        return (self.mitigation or service.incident.mitigation) == "auto"


@dataclass(frozen=True)
class IncidentParts:
    """What the run consists of, from when there is an incident: all of them are there, or none is."""

    incident: HushedIncident
    shared: SharedCauses


class IncidentRun(Runbook):
    """A run that looks after one incident."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: IncidentParts | None = None

    async def begin_incident(self, request: IncidentRequest, severity: Severity, command: str) -> Service:
        """Pin the service's settings, and give the incident its title: as it was said, else as the alert has it.

        Raises:
            InvalidInput: the service is not in the catalogue, or the run has not the ID that its alerts have.

        """
        title = request.title or (request.alert.title if request.alert else None)
        service = await self.begin(
            request, title=title or f"{severity} incident", service=request.service, severity=severity
        )
        require_its_id(self, command, request, service)
        if title is None:
            self.title = f"{severity} incident on {service.name}"
        return service

    @property
    def incident(self) -> HushedIncident:
        """What the run is about: only from when there is one."""
        assert self.parts is not None, "what comes before waits, or is refused"
        return self.parts.incident

    async def begun(self) -> bool:
        """Wait until there is an incident; False where there won't be one of this run."""
        await workflow.wait_condition(lambda: self.parts is not None)
        return True

    def mitigated_before(self) -> list[Mitigation]:
        """Give what a run that was reset has done: it is neither tried again nor left out of what it tells."""
        return [done for done in get_args(Mitigation) if done in self.done_before]

    @workflow.signal(
        name=RELATED,
        description="A service that shares something with this one has an incident too.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def related(self, other: Related) -> None:
        """Show it to the commander; the cause may be one."""
        if await self.begun():
            assert self.parts is not None
            await self.parts.shared.link(other)

    async def noted(self, note: Note) -> None:
        """Keep remarks in the incident's record too."""
        if await self.begun():
            await self.incident.note(f"{note.who} ({note.role})", note.text)


async def abandon(incident: HushedIncident) -> None:
    """Leave it to people, though the run is being cancelled."""
    await asyncio.shield(asyncio.create_task(incident.abandon()))
