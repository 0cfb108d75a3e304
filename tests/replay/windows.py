"""The maintenance windows whose histories are kept (runbook 6.1), and an incident within one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities.catalogue.service import IncidentPolicy
from activities.records.windows import Window
from tests.replay.cases import ALERT, Case, Handle, closes, waiting
from tests.replay.company import company
from tests.workflows.steering import cancel, until
from tests.workflows.worlds.busy_database import table
from tests.workflows.worlds.maintained import Maintained
from tests.workflows.worlds.world import World
from workflows.incident_response.p1_incident import P1Request
from workflows.maintenance.maintenance_window import MaintenanceWindowRequest
from workflows.maintenance.window_words import BeginNow, TickTask
from workflows.platform.lease import Extend

ADA = {"who": "ada", "role": "on-call"}
AT = datetime.now(UTC) + timedelta(days=2)
VACUUM = {"procedure": "database-maintenance", "input": {"tables": ["jobs"]}, "takes": "PT30M"}
SWAP = {"id": "swap", "check": "Swap the cable", "takes": "PT10M"}


def maintained() -> Maintained:
    world = Maintained(company()(), tenants=("globex",))
    world.tables = [table()]
    return world


def request(*tasks: dict[str, Any], **fields: Any) -> MaintenanceWindowRequest:
    return MaintenanceWindowRequest.model_validate(
        {
            "title": "Database upgrade",
            "starts_at": AT,
            "ends_at": AT + timedelta(hours=2),
            "tasks": tasks,
            **fields,
        }
    )


async def begins(handle: Handle) -> None:
    await until(handle, lambda status: "Enter the window" in str(status.entries))
    await handle.execute_update("begin", BeginNow(**ADA, reason="quiet"))
    await waiting(handle, "tick swap")


async def extends_and_ticks(handle: Handle, world: Maintained) -> None:
    await begins(handle)
    await handle.execute_update("extend", Extend(**ADA, by=timedelta(minutes=30)))
    await handle.execute_update("tick", TickTask(**ADA, task="swap"))


async def cancels(handle: Handle, world: Maintained) -> None:
    await begins(handle)
    await cancel(handle)


def not_the_primary(world: Maintained) -> None:
    world.facts = {"in_recovery": True}


# -- an incident within one ----------------------------------------------------------------------------------


def in_a_window() -> World:
    world = World(IncidentPolicy(verify_timeout=timedelta(minutes=1)))
    world.bad_release()
    world.window = Window(
        window_id="MW-1", title="Database upgrade", starts_at=AT, ends_at=AT, held_until=AT, workflow_id="window-1"
    )
    return world


async def outlasts_it(handle: Handle, world: World) -> None:
    await until(handle, lambda status: "watching for health" in str(status.entries))
    world.window = None
    await closes(handle, world)


CASES: dict[str, Case] = {
    "maintenance_window-done": Case(request(VACUUM), world=maintained),
    "maintenance_window-ticked": Case(request(VACUUM, SWAP), extends_and_ticks, world=maintained),
    "maintenance_window-overrun": Case(request(SWAP), world=maintained),
    "maintenance_window-task-failed": Case(request(VACUUM), prepare=not_the_primary, world=maintained),
    "maintenance_window-cancelled": Case(request(SWAP), cancels, world=maintained, cancelled=True),
    "maintenance_window-planned": Case(request(VACUUM, SWAP, dry_run=True), world=maintained),
    "p1_incident-in-a-window": Case(P1Request(alert=ALERT), outlasts_it, world=in_a_window),
}
