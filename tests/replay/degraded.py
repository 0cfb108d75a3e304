"""The P2 incidents whose histories are kept (runbook 2.3), and a P1 that goes on with one."""

from datetime import UTC, datetime, timedelta

from tests.replay.cases import ADA, ALERT, CLOSING, Case, Handle, closes, p1_world, waiting
from tests.workflows.steering import until
from tests.workflows.worlds.degraded import Degraded
from workflows.incident_response.p1_incident import P1Request
from workflows.incident_response.p2_incident import P2Request, Raise
from workflows.platform.approval import Decision
from workflows.shared.continued import IncidentSoFar

SLOW = ALERT.model_copy(update={"name": "HighLatency"})
SO_FAR = IncidentSoFar(
    incident_id="INC-20260204-030000-abcdef", opened_at=datetime(2026, 2, 4, 3, tzinfo=UTC), why="orders are lost"
)


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


CASES: dict[str, Case] = {
    "p2_incident-resolved": Case(P2Request(alert=SLOW), world=Degraded),
    "p2_incident-asked": Case(P2Request(alert=SLOW), rolls_back, released, Degraded),
    "p2_incident-closed": Case(P2Request(alert=SLOW), closes_it, watched, Degraded),
    "p2_incident-raised": Case(P2Request(alert=SLOW), prepare=breaks_down, world=Degraded),
    "p2_incident-handed-on": Case(P2Request(alert=SLOW), raises_it, watched, Degraded),
    "p2_incident-planned": Case(P2Request(alert=SLOW, dry_run=True), world=Degraded),
    "p1_incident-goes-on": Case(
        P1Request(alert=SLOW, continues=SO_FAR), closes, lambda world: world.bad_release(), p1_world
    ),
}
