"""The P2 incidents whose histories are kept (runbook 2.3), and a P1 that goes on with one."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity

from activities.common.severity import Severity
from activities.records.incidents import OpenIncident, OpenIncidents, OpenIncidentsRequest
from tests.replay.cases import ADA, ALERT, CLOSING, Case, Handle, closes, p1_world, waiting
from tests.workflows.steering import until
from tests.workflows.worlds.degraded import Degraded
from tests.workflows.worlds.world import instead
from workflows.incident_response.incident_words import Raise
from workflows.incident_response.p1_incident import P1Request
from workflows.incident_response.p2_incident import P2Request
from workflows.platform.approval import Decision
from workflows.shared.continued import HANDED_OVER, HandedOver, IncidentSoFar, p1_run_id

SLOW = ALERT.model_copy(update={"name": "HighLatency"})
SO_FAR = IncidentSoFar(
    incident_id="INC-20260204-030000-abcdef", opened_at=datetime(2026, 2, 4, 3, tzinfo=UTC), why="orders are lost"
)

ANOTHER = SO_FAR.model_copy(update={"incident_id": "INC-20260204-030000-fedcba"})


def released(world: Degraded) -> None:
    world.released(timedelta(minutes=5))
    world.cures = {"rollback"}


def watched(world: Degraded) -> None:
    world.watching = True


def breaks_down(world: Degraded) -> None:
    world.goes_down = True


async def rolls_back(handle: Handle, world: Degraded) -> None:
    await waiting(handle, "decide fix-1")
    await handle.execute_update("decide", Decision(**ADA, question="fix-1", choice="rollback"))


async def closes_it(handle: Handle, world: Degraded) -> None:
    await until(handle, lambda _: world.watches == 1)
    await handle.signal("alert", ALERT.model_copy(update={"fingerprint": "errors", "name": "HighErrorRate"}))
    await handle.execute_update("close", CLOSING)


async def raises_it(handle: Handle, world: Degraded) -> None:
    await until(handle, lambda _: world.watches == 1)
    await handle.execute_update("raise", Raise(**ADA, reason="orders are lost"))
    await until(handle, lambda status: status.phase == "Handed on")
    await handle.signal("alert", ALERT.model_copy(update={"fingerprint": "errors", "name": "HighErrorRate"}))
    await until(handle, lambda status: "HighErrorRate fires: told to the P1" in str(status.entries))


class Waits(Degraded):
    """Reads open incidents only once they are `there`."""

    def __init__(self) -> None:
        super().__init__()
        self.there = asyncio.Event()

    def activities(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="records.open_incidents")
        async def open_incidents(request: OpenIncidentsRequest) -> OpenIncidents:
            await world.there.wait()
            return OpenIncidents(items=[one for one in world.incidents if one.severity in request.severities])

        return instead(super().activities(), open_incidents)


def open_incident(severity: Severity, incident_id: str, workflow_id: str) -> OpenIncident:
    return OpenIncident(
        incident_id=incident_id,
        severity=severity,
        title="open",
        status="open",
        opened_at=SO_FAR.opened_at,
        workflow_id=workflow_id,
    )


async def another(handle: Handle, kind: str, workflow_id: str, queue: str = "nobody") -> None:
    """Start another run; without a queue nobody works on it, and it can be told things all the same."""
    await handle._client.start_workflow(kind, P1Request(), id=workflow_id, task_queue=queue)


async def is_given_the_p2s(handle: Handle, world: Waits) -> None:
    """A P1 asks an open P2, which answers."""
    await another(handle, "P2Incident", "a-p2")
    world.incidents, world.healthy = [open_incident("P2", SO_FAR.incident_id, "a-p2")], True
    world.there.set()
    while "being handed over" not in str(await handle.fetch_history()):  # the timer's summary
        await asyncio.sleep(0.05)
    await handle.signal(HANDED_OVER, HandedOver(so_far=SO_FAR, alerts=[SLOW]))
    await closes(handle, world)


async def hands_it_over(handle: Handle, world: Degraded) -> None:
    """A P1 begins while the P2 watches."""
    status = await until(handle, lambda _: world.watches == 1)
    world.incidents = [open_incident("P2", status.incident_id, handle.id)]
    await another(handle, "P1Incident", p1_run_id("tensafe-server"), handle.id)
    await until(handle, lambda status: status.phase == "Handed on")
    await handle.signal("alert", ALERT.model_copy(update={"fingerprint": "errors", "name": "HighErrorRate"}))


async def joins_the_p1(handle: Handle, world: Waits) -> None:
    """It has begun beside an open P1, with more alerts than one."""
    await another(handle, "P1Incident", p1_run_id("tensafe-server"))
    world.incidents = [open_incident("P1", "INC-P1", p1_run_id("tensafe-server"))]
    errors = ALERT.model_copy(update={"fingerprint": "errors", "name": "HighErrorRate"})
    await handle.signal("alerts", [SLOW, errors])
    world.there.set()


CASES: dict[str, Case] = {
    "p2_incident-resolved": Case(P2Request(alert=SLOW), world=Degraded),
    "p2_incident-asked": Case(P2Request(alert=SLOW), rolls_back, released, Degraded),
    "p2_incident-closed": Case(P2Request(alert=SLOW), closes_it, watched, Degraded),
    "p2_incident-raised": Case(P2Request(alert=SLOW), prepare=breaks_down, world=Degraded),
    "p2_incident-handed-on": Case(P2Request(alert=SLOW), raises_it, watched, Degraded),
    "p2_incident-planned": Case(P2Request(alert=SLOW, dry_run=True), world=Degraded),
    "p2_incident-handed-over": Case(P2Request(alert=SLOW), hands_it_over, watched, Degraded),
    "p2_incident-joins": Case(P2Request(alert=SLOW), joins_the_p1, world=Waits),
    "p1_incident-given": Case(P1Request(alert=ALERT), is_given_the_p2s, world=Waits),
    "p1_incident-goes-on": Case(
        P1Request(alert=SLOW, continues=ANOTHER), closes, lambda world: world.bad_release(), p1_world
    ),
}
