"""StandardDeployment with the time-skipping server: what goes out, what is stopped, and what comes back."""

from datetime import UTC, datetime, time

import pytest
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.exceptions import CancelledError

from activities.catalogue.service import OffPeak
from activities.records.incidents import OpenIncident
from tests.workflows.conftest import Working
from tests.workflows.deployment.deploying import NAME, REQUEST, decided
from tests.workflows.steering import begin, cancel, cause, until, waiting_for
from tests.workflows.worlds.platform import BAD, GOOD, Platform
from workflows.deployment.standard_deployment import StandardDeployment, StandardDeploymentRequest
from workflows.platform.approval import Decision


def statuses(world: Platform) -> list[tuple[str, str]]:
    return [(request.version, request.status) for request in world.done("records.record_deployment")]


async def test_a_good_version_completes(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, REQUEST, NAME)).result()
    assert result["outcome"] == "complete"
    assert (result["before"], result["revision"]) == (GOOD, 2)
    assert statuses(world) == [("v1.2.5", "started"), ("v1.2.5", "complete")]
    (started, _) = world.done("records.record_deployment")
    assert started.change_log == "Fixed bug #123"
    assert len(world.done("helm.upgrade")) == len(world.done("smoke.job")) == 1


@pytest.mark.parametrize("status", ["uninstalled", "uninstalling"])
async def test_an_uninstalled_release_is_refused_before_anything(working: Working, client: Client, status: str) -> None:
    world = Platform()
    world.releases = [(1, status, GOOD)]
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, StandardDeploymentRequest(version=BAD), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "helm uninstall tensafe --namespace=tensafe" in cause(failed.value).message
    assert world.effects == []


@pytest.mark.parametrize("trouble", ["unhealthy", "breach", "unsettled", "smoke", "rollout"])
async def test_a_bad_version_is_rolled_back_by_itself(working: Working, client: Client, trouble: str) -> None:
    world = Platform()
    world.bad_versions = {BAD} if trouble == "unhealthy" else set()
    world.breach = "error rate 5 % is above 2 %" if trouble == "breach" else ""
    world.unsettled = "p95 90 ms is above 60 ms" if trouble == "unsettled" else ""
    world.smoke_fails = trouble == "smoke"
    world.rollout_completes = trouble != "rollout"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, StandardDeploymentRequest(version=BAD), NAME)
        result = await handle.result()
    assert result["outcome"] == "rolled back"
    assert result["reason"]
    (back,) = world.done("helm.rollback")
    assert (back.from_revision, back.to_revision) == (2, 1)
    assert statuses(world) == [(BAD, "started"), (BAD, "rolled_back")]
    assert world.releases[-1][2] == GOOD
    assert world.healthy


@pytest.mark.parametrize("objection", ["failed", "unknown", "incident", "peak", "ci is down"])
async def test_what_speaks_against_it_stops_it_unless_somebody_overrides(
    working: Working, client: Client, objection: str
) -> None:
    world = Platform()
    if objection in {"failed", "unknown"}:
        world.tests = objection  # type: ignore[assignment]
    if objection == "ci is down":
        world.down.add("ci.status")
    if objection == "incident":
        opened = datetime(2026, 2, 4, tzinfo=UTC)
        world.incidents = [
            OpenIncident(incident_id="INC-1", severity="P2", title="Slow", status="open", opened_at=opened)
        ]
    if objection == "peak":
        release = world.service.release
        assert release is not None
        never = OffPeak(days=(), start=time(0), end=time(1))
        world.service = world.service.model_copy(update={"release": release.model_copy(update={"off_peak": (never,)})})
    async with working(world.activities()) as queue:
        stopped = await begin(client, queue, REQUEST, NAME)
        await waiting_for(stopped, "decide predeploy")
        await stopped.execute_update(StandardDeployment.decide, decided("stop"))
        assert (await stopped.result())["outcome"] == "stopped"
        assert not world.done("helm.upgrade") + world.done("records.record_deployment")
        overridden = await begin(client, queue, REQUEST, NAME)
        await waiting_for(overridden, "decide predeploy")
        for bad in (decided("deploy-anyway"), decided("deploy-anyway", role="on-call", reason="hotfix")):
            with pytest.raises(WorkflowUpdateFailedError):
                await overridden.execute_update(StandardDeployment.decide, bad)
        await overridden.execute_update(StandardDeployment.decide, decided("deploy-anyway", reason="hotfix"))
        assert (await overridden.result())["outcome"] == "complete"


async def test_nobody_answering_stops_it(working: Working, client: Client) -> None:
    world = Platform()
    world.tests = "failed"
    async with working(world.activities()) as queue:
        result = await (await begin(client, queue, REQUEST, NAME)).result()
    assert result["outcome"] == "stopped"
    assert "no answer" in result["reason"]
    assert not world.done("helm.upgrade")


async def test_a_cancelled_deployment_is_rolled_back(working: Working, client: Client) -> None:
    world = Platform()
    world.breach = "forever"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await until(handle, lambda status: status.phase.startswith("Watch") and world.watching)
        await cancel(handle, beside=1)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert isinstance(failed.value.cause, CancelledError)
    assert world.releases[-1][2] == GOOD
    assert statuses(world)[-1] == ("v1.2.5", "rolled_back")


async def test_a_release_by_somebody_else_is_left_alone(working: Working, client: Client) -> None:
    world = Platform()
    world.tests = "failed"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide predeploy")
        world.releases.append((2, "deployed", "v1.9.9"))
        await handle.execute_update(StandardDeployment.decide, decided("deploy-anyway", reason="hotfix"))
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert cause(failed.value).type == "Refused"
    assert world.releases[-1][2] == "v1.9.9"
    assert statuses(world)[-1] == ("v1.2.5", "failed")
    assert not world.done("helm.rollback")


async def test_the_version_that_runs_is_refused(working: Working, client: Client) -> None:
    world = Platform()
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, StandardDeploymentRequest(version=GOOD), NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "runs already" in cause(failed.value).message
    assert world.effects == []


async def test_a_service_that_a_run_keeps_stopped_is_not_released(working: Working, client: Client) -> None:
    world = Platform()
    world.stopped_by = "point-in-time-restore/x"
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert "is kept without replicas by point-in-time-restore/x until 2026-02-05" in cause(failed.value).message
    assert not world.done("helm.upgrade")


async def test_a_release_that_nobody_could_watch_is_asked_about(working: Working, client: Client) -> None:
    world = Platform()
    world.blind = 9
    async with working(world.activities()) as queue:
        handle = await begin(client, queue, REQUEST, NAME)
        await waiting_for(handle, "decide blind")
        word = Decision(who="ada", role="commander", question="blind", choice="roll-back")
        await handle.execute_update(StandardDeployment.decide, word)
        assert (await handle.result())["outcome"] == "rolled back"
    assert world.releases[-1][2] == GOOD


async def test_a_plan_changes_nothing(working: Working, client: Client) -> None:
    world = Platform()
    world.tests = "failed"
    async with working(world.activities()) as queue:
        request = StandardDeploymentRequest(version="v1.2.5", dry_run=True)
        result = await (await begin(client, queue, request, NAME)).result()
    assert result["outcome"] == "planned"
    assert world.effects == []
