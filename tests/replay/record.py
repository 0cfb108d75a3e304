"""`python -m tests.replay.record`: record the histories that the replay test reads, from the unit tests' world.

Record anew only when a procedure is meant to take new steps and no run of the old ones is open any more; otherwise
guard the change with `workflow.patched`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

from activities.catalogue import IncidentPolicy
from activities.records import Alert
from tests.servers import start_environment
from tests.workflows.world import World
from workers.settings import Temporal
from workers.worker import build
from workflows.incident_response.p1_incident import Closing, P1Incident, P1Request
from workflows.shared.approval import Decision

HISTORIES = Path(__file__).parents[1] / "histories"
CLOSING = Closing(who="ada", role="commander", resolution="Rolled back to v1.2.3", root_cause="Bad release v1.2.4")
ALERT = Alert(
    source="alertmanager", fingerprint="f00", name="TensafeServerDown", starts_at=datetime(2026, 2, 4, 3, tzinfo=UTC)
)
Handle = WorkflowHandle[P1Incident, Any]
"""One case: the world before the run, and what people do in it."""


async def waiting(handle: Handle, what: str) -> None:
    while (await handle.query(P1Incident.status)).waiting_for != what:
        await asyncio.sleep(0.05)


async def closes(handle: Handle, world: World) -> None:
    await waiting(handle, "close")
    await handle.execute_update(P1Incident.close, CLOSING)


async def answers(handle: Handle, world: World) -> None:
    await waiting(handle, "decide mitigation-1")
    decision = Decision(who="ada", role="commander", question="mitigation-1", choice="restart")
    await handle.execute_update(P1Incident.decide, decision)
    await closes(handle, world)


async def sees_it_fire_again(handle: Handle, world: World) -> None:
    await waiting(handle, "close")
    world.break_down()
    await handle.signal(P1Incident.alert, ALERT.model_copy(update={"starts_at": datetime(2026, 2, 4, 5, tzinfo=UTC)}))
    await answers(handle, world)


def bad_release(world: World) -> None:
    world.bad_release()


def unclear(world: World) -> None:
    world.healthy = False


CASES: dict[str, tuple[Callable[[World], None], Callable[[Handle, World], Awaitable[None]]]] = {
    "p1_incident-rolled-back": (bad_release, closes),
    "p1_incident-asked": (unclear, answers),
    "p1_incident-fired-again": (bad_release, sees_it_fire_again),
}


async def record() -> None:
    async with await start_environment() as environment:
        for name, (prepare, steer) in CASES.items():
            world = World(IncidentPolicy(decision_timeout=timedelta(hours=1)))
            prepare(world)
            settings = Temporal(task_queue=name)
            async with build(environment.client, settings, world.activities()):
                handle = await environment.client.start_workflow(
                    P1Incident.run, P1Request(alert=ALERT), id=name, task_queue=name
                )
                await steer(handle, world)
                await handle.result()
                history = await handle.fetch_history()
            (HISTORIES / f"{name}.json").write_text(history.to_json(), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(record())
