"""A full recovery of more than Deployments: StatefulSets are restarted, CronJobs don't run meanwhile."""

import pytest
from temporalio.client import Client, WorkflowFailureError

from activities.catalogue.workloads import WorkloadPolicy
from tests.workflows.conftest import Working
from tests.workflows.disaster_recovery.recovery.recoveries import NAME, decide, ended
from tests.workflows.steering import begin, quiet, told, waiting_for
from tests.workflows.worlds.outage import Outage
from workflows.disaster_recovery.recovery.full_service_recovery import FullServiceRecoveryRequest

CACHE, NIGHTLY = "statefulset/cache", "cronjob/nightly"
ABOUT = ("workload_holds", "kubernetes.restart_rollout", "traffic.shift")


class Beside(Outage):
    """A cache and a nightly job beside three Deployments."""

    def __init__(self) -> None:
        super().__init__(
            workloads=(
                WorkloadPolicy(kind="StatefulSet", name="cache"),
                WorkloadPolicy(kind="CronJob", name="nightly"),
                WorkloadPolicy(name="worker"),
            )
        )

    def order(self) -> list[str]:
        """Give the effects on workloads and traffic, as they came."""
        return [
            f"{name.rpartition('.')[2]} {request}" if name.startswith("workload_holds") else name.partition(".")[2]
            for name, request in self.effects
            if name.startswith(ABOUT)
        ]


async def test_sets_come_before_deployments_and_jobs_run_again_before_traffic(working: Working, client: Client) -> None:
    world = Beside()
    world.broken()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        result = await ended(handle)
    assert result["outcome"] == "recovered"
    assert (result["also_restarted"], result["restarted"]) == ([CACHE], ["gateway", "worker", "tensafe-server"])
    assert world.order() == [
        "shift",
        f"stop {NIGHTLY}",
        f"restart {CACHE}",
        *["restart_rollout"] * 3,
        f"give_back {NIGHTLY}",
        *["shift"] * 4,
    ]
    assert world.stopped == []


async def test_a_set_that_is_not_ready_is_asked_about_and_restarted_again(working: Working, client: Client) -> None:
    world = Beside()
    world.not_ready[CACHE] = ["1 pod not ready", "", "1 pod not ready"]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await waiting_for(handle, "decide beside")
        await quiet(handle)
        assert world.restarts == []
        assert (world.stopped, "1 pod not ready" in await told(handle)) == ([NIGHTLY], True)
        await decide(handle, "beside", "retry")
        await waiting_for(handle, "decide component")  # it is looked at again, when all else is back
        assert (len(world.done("workload_holds.restart")), world.stopped) == (2, [NIGHTLY])
        await decide(handle, "component", "retry")
        result = await ended(handle)
    assert (result["outcome"], world.stopped) == ("recovered", [])


async def test_people_may_go_on_without_it(working: Working, client: Client) -> None:
    world = Beside()
    world.not_ready[CACHE] = ["1 pod not ready"] * 9
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await decide(handle, "beside", "go-on", reason="the cache is not needed")
        assert (await ended(handle))["outcome"] == "recovered"
    assert len(world.restarts) == 3


@pytest.mark.parametrize("way", ["stop", "cancel"])
async def test_jobs_run_again_in_whatever_way_it_ends(working: Working, client: Client, way: str) -> None:
    world = Beside()
    world.not_ready[CACHE] = ["1 pod not ready"] * 9
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        await waiting_for(handle, "decide beside")
        await quiet(handle)
        assert world.stopped == [NIGHTLY]
        if way == "stop":
            await decide(handle, "beside", "stop")
            assert (await ended(handle))["outcome"] == "stopped"
        else:
            await handle.cancel()
            with pytest.raises(WorkflowFailureError):
                await handle.result()
    assert (world.stopped, world.restarts) == ([], [])


async def test_a_job_that_runs_on_is_told_and_stops_nothing(working: Working, client: Client) -> None:
    world = Beside()
    world.jobs[NIGHTLY] = "job/nightly-1 still running"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(), NAME)
        assert (await ended(handle))["outcome"] == "recovered"
        assert "job/nightly-1 still running" in await told(handle)


async def test_a_plan_says_so_and_changes_nothing(working: Working, client: Client) -> None:
    world = Beside()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, FullServiceRecoveryRequest(dry_run=True), NAME)
        assert (await ended(handle))["outcome"] == "planned"
        shown = await told(handle)
    assert f"Restart {CACHE}" in shown
    assert (world.stopped, [request.effect.dry_run for request in world.done("workload_holds.restart")]) == ([], [])
