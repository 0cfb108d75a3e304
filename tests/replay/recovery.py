"""The full recoveries whose histories are kept (runbook 7.2)."""

from activities.catalogue.workloads import WorkloadPolicy
from tests.replay.cases import Case, Handle, waiting
from tests.workflows.steering import cancel
from tests.workflows.worlds.outage import DATABASE, Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest
from workflows.platform.approval import Decision

ADA = {"who": "ada", "role": "commander"}


def outage() -> Outage:
    return Outage(database=DATABASE).broken()


def comes_back_with_trouble(world: Outage) -> None:
    world.stuck["worker"] = 1
    world.tests_fail = 1
    world.unwell_at = {50: {1}}
    world.bad_looks = {3}


def more_than_deployments() -> Outage:
    """A cache beside the Deployments, and a nightly job; the cache isn't ready at once."""
    beside = (WorkloadPolicy(kind="StatefulSet", name="cache"), WorkloadPolicy(kind="CronJob", name="nightly"))
    world = Outage(workloads=beside).broken()
    world.not_ready["statefulset/cache"] = ["1 pod not ready"]
    return world


async def retries_the_cache(handle: Handle, world: Outage) -> None:
    await waiting(handle, "decide beside")
    await handle.execute_update("decide", Decision(**ADA, question="beside", choice="retry"))


def never_well(world: Outage) -> None:
    world.unwell_at = {50: range(1, 10)}


async def decides(handle: Handle, world: Outage) -> None:
    for question, choice in (("restore", "no-restore"), ("stage-1", "retry"), ("tests", "retry")):
        await waiting(handle, f"decide {question}")
        await handle.execute_update("decide", Decision(**ADA, question=question, choice=choice))


async def keeps_the_data(handle: Handle, world: Outage) -> None:
    await waiting(handle, "decide restore")
    await handle.execute_update("decide", Decision(**ADA, question="restore", choice="no-restore"))


async def cancels(handle: Handle, world: Outage) -> None:
    await keeps_the_data(handle, world)
    await waiting(handle, "decide traffic")
    await cancel(handle)


CASES: dict[str, Case] = {
    "full_service_recovery-recovered": Case(
        FullServiceRecoveryRequest(), decides, comes_back_with_trouble, world=outage
    ),
    "full_service_recovery-cancelled": Case(
        FullServiceRecoveryRequest(), cancels, never_well, world=outage, cancelled=True
    ),
    "full_service_recovery-beside": Case(FullServiceRecoveryRequest(), retries_the_cache, world=more_than_deployments),
    "full_service_recovery-planned": Case(FullServiceRecoveryRequest(dry_run=True), world=outage),
}
