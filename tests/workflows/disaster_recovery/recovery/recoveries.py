"""What the tests of a full recovery (7.2) ask and wait for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from activities.catalogue.recovery import RecoveryPolicy
from tests.workflows.steering import Handle, waiting_for
from tests.workflows.worlds.outage import INGRESS, TESTS
from workflows.platform.approval import Decision

ADA = {"who": "ada", "role": "commander"}
NAME = "full_service_recovery"


def policy(**fields: object) -> RecoveryPolicy:
    return RecoveryPolicy.model_validate({"traffic": INGRESS, "tests": TESTS} | fields)


async def decide(handle: Handle, question: str, choice: str, reason: str = "") -> None:
    await waiting_for(handle, f"decide {question}")
    await handle.execute_update("decide", Decision(**ADA, question=question, choice=choice, reason=reason))


@asynccontextmanager
async def passing(handle: Handle) -> AsyncIterator[asyncio.Task[Any]]:
    """Let the test server's clock jump: it does while somebody waits for the run's end; gives that waiting."""
    waiting = asyncio.create_task(handle.result())
    try:
        yield waiting
    finally:
        waiting.cancel()


async def ended(handle: Handle) -> dict[str, object]:
    result: dict[str, object] = await handle.result()
    return result
