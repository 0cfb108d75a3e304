"""The restores whose histories are kept (runbook 7.3)."""

from datetime import timedelta
from typing import Any

from activities.catalogue.workloads import WorkloadPolicy
from tests.replay.cases import Case, Handle, waiting
from tests.workflows.steering import until
from tests.workflows.worlds.damaged import BETWEEN, DamagedWorld
from tests.workflows.worlds.pointed import another
from workflows.disaster_recovery.restore.point_in_time_restore import PointInTimeRestoreRequest
from workflows.platform.approval import Decision
from workflows.platform.lease import Extend, Resume

DORA = {"who": "dora", "role": "dba"}


async def _decides(handle: Handle, question: str, choice: str) -> None:
    await waiting(handle, f"decide {question}")
    await handle.execute_update("decide", Decision(**DORA, question=question, choice=choice))


async def switches_and_discards(handle: Handle, world: DamagedWorld) -> None:
    await _decides(handle, "switch", "switch")
    await until(handle, lambda status: status.phase == "Damaged copy kept")
    await handle.execute_update("extend", Extend(**DORA, by=timedelta(days=1)))
    await handle.execute_update("resume", Resume(**DORA))
    await _decides(handle, "damaged-copy", "discard")


async def takes_it_unverified(handle: Handle, world: DamagedWorld) -> None:
    await _decides(handle, "unverified", "restore")
    await _decides(handle, "switch", "switch")


async def cancels(handle: Handle, world: DamagedWorld) -> None:
    await waiting(handle, "decide switch")
    await handle.cancel()


def restore(**fields: Any) -> PointInTimeRestoreRequest:
    return PointInTimeRestoreRequest.model_validate({"target_time": BETWEEN, **fields})


def shared(world: DamagedWorld) -> None:
    """Have the service be more than one Deployment, and another service use its database."""
    nightly = WorkloadPolicy(kind="CronJob", name="nightly")
    world.service = world.service.model_copy(update={"workloads": (nightly,)})
    world.others = {"billing": another("billing", "primary", "spare-1")}


def pooled(world: DamagedWorld) -> None:
    """Have a pooler in front of the database; somebody scales the service up while it is decided."""
    world.others = {"billing": another("billing", "primary", "spare-1", poolers=["front"])}


async def is_asked_again(handle: Handle, world: DamagedWorld) -> None:
    await waiting(handle, "decide switch")
    world.replicas = 1
    await handle.execute_update("decide", Decision(**DORA, question="switch", choice="switch"))
    await waiting(handle, "decide switch-2")
    word = Decision(**DORA, question="switch-2", choice="switch", reason="it only reads")
    await handle.execute_update("decide", word)


CASES: dict[str, Case] = {
    "point_in_time_restore-restored": Case(restore(), switches_and_discards, world=DamagedWorld),
    "point_in_time_restore-latest": Case(
        restore(target_time=None, backup_id="b2", accept_unverified=True), takes_it_unverified, world=DamagedWorld
    ),
    "point_in_time_restore-declined": Case(restore(), world=DamagedWorld),
    "point_in_time_restore-cancelled": Case(restore(), cancels, world=DamagedWorld, cancelled=True),
    "point_in_time_restore-shared": Case(
        restore(service="tensafe-server"), switches_and_discards, shared, world=DamagedWorld
    ),
    "point_in_time_restore-pooled": Case(
        restore(service="tensafe-server", forensics="PT0S"), is_asked_again, pooled, world=DamagedWorld
    ),
    "point_in_time_restore-planned": Case(restore(dry_run=True), world=DamagedWorld),
}
