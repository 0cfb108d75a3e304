"""The P2 that a service may have when its P1 begins: the P1 goes on with it, or takes it in (runbook 2.3)."""

import asyncio
from datetime import timedelta

from temporalio import workflow

from activities.catalogue.service import Service
from activities.records.alerts import Alert
from workflows.incident_response.incident_run import abandon
from workflows.platform import policies
from workflows.platform.lease import shielded
from workflows.platform.runbook import Runbook
from workflows.shared.continued import (
    TAKEN_IN,
    HandedOver,
    IncidentSoFar,
    TakenIn,
    hands_over,
    open_incidents,
    tell,
)
from workflows.shared.hushed_incident import HushedIncident

_HANDED_OVER_WITHIN = timedelta(seconds=15)
"""For the answer of an open P2, which comes at once: a little more than it takes Temporal to give a run to another
worker, where its own has died (10 s). No outage waits longer."""


class OpenP2:
    """The P2 of the same service, as far as a P1 has to do with it."""

    def __init__(self, run: Runbook) -> None:
        self.run = run
        self._asked = False
        self._handed: HandedOver | None = None
        """What it has answered."""

    @property
    def alerts(self) -> list[Alert]:
        """Those of its alerts that still fired when it was handed over."""
        return self._handed.alerts if self._handed else []

    def answered(self, handed: HandedOver) -> bool:
        """Take its answer; False where nobody waits for it: it comes too late."""
        if self._asked:
            self._handed = handed
        return self._asked

    async def incident_so_far(self, service: Service, commander: str | None) -> IncidentSoFar | None:
        """Go on with the incident of an open P2: its number, thread, pages and evidence (2.3); None opens a new one."""
        if self.run.dry_run or not hands_over(self.run):
            return None
        try:
            # A P2 that has handed its incident over has let go of it: a cancellation waits for that.
            await shielded(self._ask_for_it(service))
        except asyncio.CancelledError:
            self.run.finish("cancelled")
            if self._handed is not None and self._handed.so_far is not None:
                so_far = self._handed.so_far
                await abandon(HushedIncident(self.run, service, "P1", self.run.title, commander, so_far=so_far))
            raise
        return self._handed.so_far if self._handed else None

    async def _ask_for_it(self, service: Service) -> None:
        self._asked = True
        for other in await open_incidents(self.run, "2.2/2", service, ["P2"], policies.GLANCE):
            ask = TakenIn(incident_id=other.incident_id, workflow_id=workflow.info().workflow_id, why=self.run.title)
            if not await tell(self.run, other, TAKEN_IN, ask):
                continue
            try:
                await workflow.wait_condition(
                    lambda: self._handed is not None,
                    timeout=_HANDED_OVER_WITHIN,
                    timeout_summary=f"{other.incident_id} being handed over",
                )
            except TimeoutError:
                late = f"{other.incident_id} was not handed over in time: this opens one of its own"
                self.run.say("problem", late)
            break
        self._asked = False

    async def take_in(self, incident: HushedIncident) -> None:
        """Take in what P2 has been opened beside this incident."""
        for other in await open_incidents(self.run, "2.2/2", incident.service, ["P2"]):
            if other.incident_id != incident.id and await tell(
                self.run, other, TAKEN_IN, TakenIn(incident_id=incident.id)
            ):
                self.run.say("decision", f"Takes {other.severity} {other.incident_id} in: {other.title}")
