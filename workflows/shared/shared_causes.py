"""Open incidents of services that share something: linked, and shown to both commanders (ARCHITECTURE, rule 11).

What is shared by the settings (a database, a namespace, a dependency) was pinned when the run began; whether pods that
aren't ready run on one node is looked at. Whoever comes later finds the earlier one in the records and tells its run,
so that both know, whichever of them looked first.
"""

import asyncio

from pydantic import Field

from activities.catalogue.lookup import Neighbour
from activities.common.refusable import Refusable
from activities.common.severity import Severity
from activities.common.text import Key, ShownLine
from activities.kubernetes.cluster import Kubernetes, PodsRequest
from activities.kubernetes.states import Pods
from activities.records.activities import Records
from activities.records.incidents import OpenIncidents, OpenIncidentsRequest
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.continued import tell
from workflows.shared.incident import Incident

RELATED = "related"


class Related(Refusable):
    """Another service that shares something has an incident too."""

    incident_id: Key
    service: Key
    severity: Severity
    title: ShownLine = ""
    commander: ShownLine = ""
    shares: list[ShownLine] = Field(description="What the two have in common, for example `database tensafe`.")


class SharedCauses:
    """The incidents that one run's incident may have a cause in common with."""

    def __init__(self, run: Runbook, incident: Incident, section: str) -> None:
        self.run = run
        self.incident = incident
        self.linked: list[Related] = []
        self._section = section
        self._neighbours = (run.pinned.neighbours or []) if run.pinned else []
        self._looked = False

    async def look(self, pods: Pods | None) -> None:
        """Find them, tell their runs, and link them; once, and again where the records could not be read."""
        if self._looked or not self._neighbours or self.run.dry_run:
            return
        self._looked = True
        service = self.incident.service
        asked = OpenIncidentsRequest(
            service=service.name, severities=["P1", "P2"], others=[one.service for one in self._neighbours]
        )
        found = await self.run.attempt(
            self._section,
            "Open incidents of services that share something",
            Records.open_incidents,
            asked,
            policies.READ,
        )
        if found is None:
            self._looked = False
            return
        common = await asyncio.gather(*(self._common(one, found, pods) for one in self._neighbours))
        for neighbour, shares in zip(self._neighbours, common, strict=True):
            if shares:
                await self._link_all(neighbour, shares, found)

    async def _link_all(self, neighbour: Neighbour, shares: list[str], found: OpenIncidents) -> None:
        for other in found.led:
            if other.service != neighbour.service or other.incident_id == self.incident.id:
                continue
            # Theirs first: where that run has ended, its incident is only open in the records.
            if await tell(self.run, other, RELATED, self._as_told(shares)):
                await self.link(
                    Related(
                        incident_id=other.incident_id,
                        service=other.service,
                        severity=other.severity,
                        title=other.title,
                        commander=other.commander,
                        shares=shares,
                    )
                )

    def _as_told(self, shares: list[str]) -> Related:
        mine = self.incident
        return Related(
            incident_id=mine.id,
            service=mine.service.name,
            severity=mine.severity,
            title=mine.title,
            commander=mine.commander,
            shares=shares,
        )

    async def link(self, other: Related) -> None:
        """Say it in the timeline, to the channel and in the incident's notes; once an incident."""
        if other.incident_id in {one.incident_id for one in self.linked}:
            return
        self.linked.append(other)
        has = f"{other.severity} {other.incident_id} of {other.service} is open too ({other.title})"
        text = f"{has}; in common: {', '.join(other.shares)}"
        self.run.say("decision", f"{text}. The cause may be one", section=self._section)
        led = f", commander {other.commander}" if other.commander else ""
        await asyncio.gather(
            self.incident.tell(f"related-{other.incident_id}", f":link: {text}{led}. The cause may be one"),
            self.incident.note("runbook", f"{text}{led}"),
        )

    async def _common(self, neighbour: Neighbour, found: OpenIncidents, pods: Pods | None) -> list[str]:
        """Give what the two share, their pods' node too, where there is an incident to ask for."""
        if not any(one.service == neighbour.service for one in found.led):
            return []
        mine = _unwell_nodes(pods)
        if not mine:
            return neighbour.shares
        where = PodsRequest(namespace=neighbour.namespace, selector=neighbour.selector)
        theirs = await self.run.attempt(
            self._section, f"Pods of {neighbour.service}", Kubernetes.pods, where, policies.READ
        )
        return [*neighbour.shares, *(f"node {name}" for name in sorted(mine & _unwell_nodes(theirs)))]


def _unwell_nodes(pods: Pods | None) -> set[str]:
    """Give the nodes of pods that aren't ready."""
    return {pod.node for pod in pods.items if not pod.ready and pod.node} if pods else set()


def knows_others(run: Runbook) -> bool:
    """Tell whether a run began when other services' incidents, and what a service needs, came to be looked at."""
    return run.pinned is not None and run.pinned.neighbours is not None
