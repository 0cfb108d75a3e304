"""The maintenances whose histories are kept (runbook 6.2)."""

from activities.database.backups.system import Backup
from tests.replay.cases import Case, Handle, waiting
from tests.workflows.steering import cancel, until
from tests.workflows.worlds.busy_database import LONG_AGO, BusyDatabase, index, session, table
from workflows.maintenance.database_maintenance import DatabaseMaintenanceRequest
from workflows.platform.approval import Decision

DANA = {"who": "dana", "role": "dba"}


def needy(world: BusyDatabase) -> None:
    world.tables = [table("a", dead=50_000), table("b", age=170_000_000)]
    world.indexes = [index("i", bloat=0.9), index("j", bloat=0.8), index("i_ccnew", valid=False, leftover=True)]
    world.sessions = [session(11, blocks=1), session(12, blocked_by=[11]), session(13)]
    world.backups = [Backup(backup_id="b2", status="done", ended_at=LONG_AGO)]
    world.refused = {"j"}


def never_done(world: BusyDatabase) -> None:
    needy(world)
    world.slow = "i"


async def ends_one(handle: Handle, world: BusyDatabase) -> None:
    for question, choice in (("end-1", "11"), ("end-2", "leave")):
        await waiting(handle, f"decide {question}")
        await handle.execute_update("decide", Decision(**DANA, question=question, choice=choice))


async def cancels_the_reindex(handle: Handle, world: BusyDatabase) -> None:
    await until(handle, lambda _: world.at_work)
    await cancel(handle, beside=1)


def left(world: BusyDatabase) -> None:
    world.indexes = [
        index("i_ccnew", valid=False, leftover=True, twin="public.i", twin_valid=True),
        index("i2", oid=9, valid=False, twin="public.i", twin_valid=True),
    ]


async def drops_one(handle: Handle, world: BusyDatabase) -> None:
    await waiting(handle, "decide drop-indexes")
    await handle.execute_update("decide", Decision(**DANA, question="drop-indexes", choice="public.i_ccnew"))


CASES: dict[str, Case] = {
    "database_maintenance-drops": Case(DatabaseMaintenanceRequest(), drops_one, left, BusyDatabase),
    "database_maintenance-healthy": Case(DatabaseMaintenanceRequest(), world=BusyDatabase),
    "database_maintenance-maintained": Case(DatabaseMaintenanceRequest(), ends_one, needy, BusyDatabase),
    "database_maintenance-named": Case(DatabaseMaintenanceRequest(end=[11]), ends_one, needy, BusyDatabase),
    "database_maintenance-unanswered": Case(DatabaseMaintenanceRequest(), prepare=needy, world=BusyDatabase),
    "database_maintenance-cancelled": Case(
        DatabaseMaintenanceRequest(), cancels_the_reindex, never_done, BusyDatabase, cancelled=True
    ),
    "database_maintenance-planned": Case(DatabaseMaintenanceRequest(dry_run=True), prepare=needy, world=BusyDatabase),
}
