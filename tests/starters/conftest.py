from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from psycopg_pool import ConnectionPool
from temporalio.client import Client

from starters.cli import people
from tests.records_schema.fixtures import empty_database_url, records_pool, records_sql, records_url  # noqa: F401
from tests.starters.cli.audit.audit_support import Past
from tests.starters.support import serving, settings_for, working
from tests.workflows.worlds.world import World
from workers.clients import connect
from workers.settings import TemporalSettings


@pytest.fixture(autouse=True)
def fresh_terminal() -> None:
    """A terminal as wide as the test says: it is measured when something is first printed."""
    for one in (people.console, people.complaints):
        vars(one).pop("_made", None)


@pytest.fixture(scope="module")
async def client(temporal_address: str) -> Client:
    return await connect(TemporalSettings(address=temporal_address))


@pytest.fixture
async def webhook(temporal_address: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A webhook on a task queue nobody works on: what it starts just stands there."""
    async with serving(settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World(), max_body=100_000)) as http:
        yield http


@pytest.fixture
async def past(temporal_address: str, records_pool: ConnectionPool[Any]) -> AsyncIterator[Past]:  # noqa: F811
    """Incidents that can be closed, archived and forgotten, for the commands that look back."""
    queue = f"q-{uuid4()}"
    world = World()
    world.bad_release()
    async with working(temporal_address, queue, world) as client:
        past = Past(client, queue, records_pool)
        await past.begin()
        yield past
