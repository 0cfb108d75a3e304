"""A file's runs end with it: what one leaves open on the shared Temporal would be listed, asked and replayed in others.

Each such run has lost its worker. To ask it takes seconds, so a few hundred of them slow down what comes later, and a
test that looks at all open runs sees strangers.
"""

import asyncio
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowExecution
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
    found = [run async for run in client.list_workflows('ExecutionStatus = "Running"')]
    # One that has ended meanwhile can't be ended.
    ended = await asyncio.gather(*(_end(client, run) for run in found), return_exceptions=True)
    for error in ended:
        if error is not None and not isinstance(error, RPCError):
            raise error


async def _end(client: Client, run: WorkflowExecution) -> None:
    await client.get_workflow_handle(run.id, run_id=run.run_id).terminate("its test file is through")
