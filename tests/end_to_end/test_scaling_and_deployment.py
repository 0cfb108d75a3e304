"""Scaling and deployment on the whole stack: started by alerts and by hand, with workers killed inside."""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import CancelledError

from sandbox import aws, manifests
from tests.end_to_end.conftest import Stack, eventually
from tests.end_to_end.scaled import (
    DEPLOYMENT,
    paused,
    read,
    replicas,
    runbooks,
    set_load,
    three,  # noqa: F401
)
from tests.workflows.steering import begin, result_of, until
from workflows.platform.run_status import RunStatus
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest

pytestmark = pytest.mark.timeout(600)


def result(answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout)["result"]
    return found


def tag(stack: Stack) -> str:
    image: str = read(stack, DEPLOYMENT)["spec"]["template"]["spec"]["containers"][0]["image"]
    return image.rpartition(":")[2]


async def seen(stack: Stack, probe: Callable[[Stack], bool]) -> None:
    await eventually(lambda: asyncio.to_thread(probe, stack))


async def lease(stack: Stack, lasting: str) -> WorkflowHandle[Any, Any]:
    request = EmergencyScaleUpRequest(lease=timedelta(seconds=float(lasting)))
    handle = await begin(stack.client, "runbooks", request, "emergency_scale_up")
    await until(handle, lambda status: status.phase == "Autoscaler paused")
    assert paused(stack)
    assert replicas(stack) == 6
    return handle


async def test_three_become_six_and_keda_is_resumed(three: Stack) -> None:  # noqa: F811
    answer = await asyncio.to_thread(
        runbooks, three, "start", "emergency-scale-up", "--yes", "--set", "lease=10s", "--wait", "--json"
    )
    found = result(answer)
    assert (found["before"], found["target"], found["ready"], found["complete"]) == (3, 6, 6, True)
    assert found["ended_by"] == "expiry"
    assert replicas(three) == 6
    assert not paused(three)


async def test_a_cancelled_run_resumes_keda(three: Stack) -> None:  # noqa: F811
    handle = await lease(three, "600")
    answer = await asyncio.to_thread(runbooks, three, "cancel", handle.id)
    assert answer.returncode == 0, answer.stderr
    with pytest.raises(WorkflowFailureError) as ended:
        await result_of(handle)
    assert isinstance(ended.value.cause, CancelledError)
    assert not paused(three)


async def test_a_lease_that_expires_while_no_worker_runs_ends_as_soon_as_one_does(three: Stack) -> None:  # noqa: F811
    handle = await lease(three, "20")
    status = await until(handle, lambda status: bool(status.leases))
    for worker in three.environment.workers:
        worker.kill()
    left = status.leases[0].until - datetime.now(UTC)
    assert left > timedelta(0), "nobody was there when it ended"
    await asyncio.sleep(left.total_seconds() + 1)
    assert paused(three)
    began = time.monotonic()
    for worker in three.environment.workers:
        worker.start()
    await seen(three, lambda stack: not paused(stack))
    print(f"resumed {time.monotonic() - began:.1f} s after the workers' start")
    assert (await result_of(handle))["ended_by"] == "expiry"


async def test_a_second_run_is_refused_while_the_first_holds_the_autoscaler(three: Stack) -> None:  # noqa: F811
    first = await lease(three, "600")
    answer = await asyncio.to_thread(runbooks, three, "start", "emergency-scale-up", "--yes", "--wait")
    assert answer.returncode == 1
    assert first.id in answer.stderr.replace("\n", "")
    assert replicas(three) == 6
    assert paused(three)
    resumed = await asyncio.to_thread(runbooks, three, "resume", first.id)
    assert resumed.returncode == 0, resumed.stderr
    await first.result()
    assert not paused(three)


async def test_saturation_scales_the_service_up_by_itself(three: Stack) -> None:  # noqa: F811
    set_load(three, "load", 75)  # three pods can answer 60 a second
    await seen(three, lambda stack: replicas(stack) == 6)
    assert paused(three)


async def test_busy_gpus_get_another_node(three: Stack) -> None:  # noqa: F811
    eks = boto3.client(
        "eks",
        endpoint_url=three.environment.aws.url,
        region_name=aws.REGION,
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    where = {"clusterName": aws.CLUSTER, "nodegroupName": aws.NODE_GROUP}

    def desired() -> int:
        return int(eks.describe_nodegroup(**where)["nodegroup"]["scalingConfig"]["desiredSize"])

    before = desired()
    set_load(three, "gpu", 95)

    async def outcome() -> str:
        query = "WorkflowType = 'AddGpuNode' AND ExecutionStatus = 'Completed'"
        for run in [run async for run in three.client.list_workflows(query)]:
            handle = three.client.get_workflow_handle(run.id, run_id=run.run_id)
            return str((await handle.result())["outcome"])
        return ""

    assert await eventually(outcome) == "added"
    assert desired() == before + 1


async def test_a_good_version_goes_out_and_a_bad_one_comes_back_by_itself(three: Stack) -> None:  # noqa: F811
    for version in ("v1.2.5", "v1.2.4"):
        told = await asyncio.to_thread(runbooks, three, "ci", version, "--status", "passed")
        assert told.returncode == 0, told.stderr
    good = await asyncio.to_thread(
        runbooks, three, "start", "standard-deployment", "--yes", "--set", "version=v1.2.5", "--wait", "--json"
    )
    assert result(good)["outcome"] == "complete"
    assert tag(three) == "v1.2.5"
    bad = await asyncio.to_thread(
        runbooks, three, "start", "standard-deployment", "--yes", "--set", "version=v1.2.4", "--wait", "--json"
    )
    assert (bad.returncode, bad.stderr.splitlines()[-1]) == (1, "the run has ended: rolled back")
    found = json.loads(bad.stdout)["result"]
    assert found["outcome"] == "rolled back"
    assert found["reason"]
    await seen(three, lambda stack: tag(stack) == "v1.2.5" and stack.health()["status"] == "healthy")
    rows = three.rows("SELECT version, status FROM runbooks.deployments ORDER BY id")
    assert ("v1.2.5", "complete") in rows
    assert ("v1.2.4", "rolled_back") in rows
    back = await asyncio.to_thread(
        runbooks,
        three,
        "start",
        "rollback",
        "--yes",
        "--set",
        "helm_revision=1",
        "--set",
        "reason=test",
        "--wait",
        "--json",
    )
    assert result(back)["to_version"] == "v1.2.3"
    assert tag(three) == manifests.GOOD_IMAGE.rpartition(":")[2]


async def test_an_untested_version_is_stopped_by_a_person(three: Stack) -> None:  # noqa: F811
    name = f"untested/{uuid4().hex}"
    start = ("start", "standard-deployment", "--yes", "--set", "version=v9.9.9", "--id", name)
    assert (await asyncio.to_thread(runbooks, three, *start)).returncode == 0
    handle = three.client.get_workflow_handle(name)

    async def asked() -> RunStatus | None:
        status = await handle.query("status", result_type=RunStatus)
        return status if status.questions else None

    status = await eventually(asked)
    assert "tests: unknown" in status.questions[0].title
    stopped = await asyncio.to_thread(runbooks, three, "approve", name, "--choice", "stop", "--reason", "no tests")
    assert stopped.returncode == 0, stopped.stderr
    assert (await handle.result())["outcome"] == "stopped"
    assert tag(three) == "v1.2.3"
