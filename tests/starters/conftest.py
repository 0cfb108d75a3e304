from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from temporalio.client import Client

from tests.starters.support import serving, settings_for
from tests.workflows.world import World
from workers.clients import connect
from workers.settings import Temporal


@pytest.fixture(scope="module")
async def client(temporal_address: str) -> Client:
    return await connect(Temporal(address=temporal_address))


@pytest.fixture
async def webhook(temporal_address: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A webhook on a task queue nobody works on: what it starts just stands there."""
    async with serving(settings_for(temporal_address, f"q-{uuid4()}", tmp_path, World(), max_body=100_000)) as http:
        yield http
