"""Lets the test server's clock jump while anybody waits for it: once, however many wait.

The SDK unlocks the clock for each result that is waited for. The server counts locks, and knows not whose they are: the
second unlock takes the lock of a step that some run has in flight. Then the clock jumps over that step, its run goes on
no more, and it ends ten years later by the limit of a whole run.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from temporalio.api.testservice.v1 import SleepRequest
from temporalio.testing import WorkflowEnvironment


def unlocked_once(environment: WorkflowEnvironment) -> WorkflowEnvironment:
    """Have an environment unlock its clock for the first who waits, and lock it after the last."""
    inside: Any = environment  # the SDK unlocks by a method that its public class lacks
    unlocked, jump = inside.time_skipping_unlocked, environment.sleep
    turn, waiting, open_clock = asyncio.Lock(), 0, AsyncExitStack()

    @asynccontextmanager
    async def once() -> AsyncIterator[None]:
        nonlocal waiting
        async with turn:
            if waiting == 0:
                await open_clock.enter_async_context(unlocked())
            waiting += 1
        try:
            yield
        finally:
            async with turn:
                waiting -= 1
                if waiting == 0:
                    await open_clock.aclose()

    async def sleep(duration: timedelta | float) -> None:
        async with turn:
            if waiting == 0:
                await jump(duration)
                return
        request = SleepRequest()
        request.duration.FromTimedelta(duration if isinstance(duration, timedelta) else timedelta(seconds=duration))
        async with once():  # somebody waits, so the clock jumps already; they may be done before it is over
            await environment.client.test_service.sleep(request)

    inside.time_skipping_unlocked, inside.sleep = once, sleep
    return environment
