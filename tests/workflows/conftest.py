from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.catalogue.service import CustomerPolicy
from sandbox.mail_server import MailServer
from tests.records_schema.fixtures import empty_database_url, records_pool, records_sql, records_url  # noqa: F401
from tests.workflows.worlds.company import Company
from workers.registry import PROCEDURES, SYSTEM
from workers.settings import TemporalSettings
from workers.worker import build

Working = Callable[[list[Callable[..., Any]]], AbstractAsyncContextManager[str]]


@pytest.fixture
def workflow_types() -> Sequence[type]:
    """What the worker runs; a module may put a stand-in for a child run in its place."""
    return [*(known.workflow for known in PROCEDURES), *(known.workflow for known in SYSTEM)]


@pytest.fixture
def working(time_skipping: WorkflowEnvironment, workflow_types: Sequence[type]) -> Working:
    """Run the real worker with the given activities; gives the task queue."""

    @asynccontextmanager
    async def run(activities: list[Callable[..., Any]]) -> AsyncIterator[str]:
        queue = f"q-{uuid4()}"
        worker: Worker = build(
            time_skipping.client, TemporalSettings(task_queue=queue), activities, workflows=workflow_types
        )
        async with worker:
            yield queue

    return run


@pytest.fixture
def client(time_skipping: WorkflowEnvironment) -> Client:
    return time_skipping.client


@pytest.fixture
def same_day(time_skipping: WorkflowEnvironment) -> Iterator[None]:
    """Keep the server's clock: for tests of several runs whose outcome depends on the time between them.

    While a test waits for a result, the server skips to its next timer. Where the run has just ended, that is the
    limit of a whole run: ten years later. The next run would see certificates, keys and windows that have expired.
    """
    with time_skipping.auto_time_skipping_disabled():
        yield


@pytest.fixture
def company(
    records_pool: ConnectionPool[Any],  # noqa: F811
    records_sql: psycopg.Connection[Any],  # noqa: F811
    mail_server: MailServer,
) -> Company:
    return Company(records_pool, records_sql, mail_server, CustomerPolicy())
