"""A file's runs end with it: what one leaves open on the shared Temporal would be listed, asked and replayed in others.

Each such run has lost its worker. To ask it takes seconds, so a few hundred of them slow down what comes later, and a
test that looks at all open runs sees strangers.
"""

import asyncio
import os
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

_addresses: dict[Path, str] = {}
"""Test file → the Temporal that its tests have used."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """End a file's runs after its last test; not at the very end, since the server ends as well."""
    address = getattr(item, "funcargs", {}).get("temporal_address")
    if address is not None and "RUNBOOKS_TEST_TEMPORAL_ADDRESS" not in os.environ:  # that one may have others' runs
        _addresses[item.path] = address
    yield
    if nextitem is not None and nextitem.path != item.path and item.path in _addresses:
        asyncio.run(_end_all(_addresses.pop(item.path)))


async def _end_all(address: str) -> None:
    client = await Client.connect(address)
    async for run in client.list_workflows('ExecutionStatus = "Running"'):
        with suppress(RPCError):  # it has ended meanwhile
            await client.get_workflow_handle(run.id, run_id=run.run_id).terminate("its test file is through")
