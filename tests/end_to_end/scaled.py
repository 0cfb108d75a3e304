"""The sandbox's service: its replicas, its load, and the commands of people."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from temporalio.client import WorkflowFailureError
from temporalio.service import RPCError

from sandbox import kubernetes_api
from tests.end_to_end.conftest import Stack, eventually
from tests.workflows.steering import result_of

SCALED_OBJECT = "/apis/keda.sh/v1alpha1/namespaces/tensafe/scaledobjects/tensafe-scaledobject"


DEPLOYMENT = "/apis/apps/v1/namespaces/tensafe/deployments/tensafe-server"


PAUSED = "autoscaling.keda.sh/paused"


def runbooks(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = str(stack.environment.configuration.file)
    return subprocess.run(
        [sys.executable, "-m", "starters", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "RUNBOOKS_CONFIG": config, "RUNBOOKS_USER": "ada", "RUNBOOKS_ROLE": "commander"},
    )


def read(stack: Stack, path: str) -> dict[str, Any]:
    with kubernetes_api.connect(stack.environment.cluster.kubeconfig) as api:
        found: dict[str, Any] = api.get(path).raise_for_status().json()
    return found


def paused(stack: Stack) -> bool:
    return PAUSED in (read(stack, SCALED_OBJECT)["metadata"].get("annotations") or {})


def replicas(stack: Stack) -> int:
    return int(read(stack, DEPLOYMENT)["spec"]["replicas"])


def set_load(stack: Stack, what: str, value: int) -> None:
    httpx.put(f"{stack.environment.service_url}/{what}/{value}").raise_for_status()


@pytest.fixture
async def three(stack: Stack) -> AsyncIterator[Stack]:
    """The stack with three replicas, an active autoscaler, and usual load; the same afterwards."""

    def reset() -> None:
        set_load(stack, "load", 40)
        set_load(stack, "gpu", 40)
        set_load(stack, "errors", 0)
        with kubernetes_api.connect(stack.environment.cluster.kubeconfig) as api:
            merge = {"Content-Type": "application/merge-patch+json"}
            api.patch(DEPLOYMENT, json={"spec": {"replicas": 3}}, headers=merge).raise_for_status()

    await asyncio.to_thread(reset)
    assert not paused(stack)
    yield stack
    await asyncio.to_thread(reset)
    await eventually(lambda: asyncio.to_thread(stack.quiet))
    query = "ExecutionStatus = 'Running'"
    for run in [run async for run in stack.client.list_workflows(query)]:
        with_it = stack.client.get_workflow_handle(run.id, run_id=run.run_id)
        await with_it.cancel()
        with contextlib.suppress(WorkflowFailureError, RPCError):
            await result_of(with_it)
