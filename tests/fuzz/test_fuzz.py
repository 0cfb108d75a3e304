"""A short fuzz of every procedure; `make fuzz MINUTES=10 SEED=7` is a long one."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.fuzz.boundary import boundary
from tests.fuzz.fuzzing import fuzz
from workers.clients import connect
from workers.settings import TemporalSettings

SEED, EXAMPLES = 20_260_204, 12


@pytest.mark.timeout(600)
async def test_whatever_is_sent_no_run_sticks_and_nothing_leaks(temporal_address: str) -> None:
    loop = asyncio.get_running_loop()

    def run(work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    async with boundary(await connect(TemporalSettings(address=temporal_address))) as border:
        with ThreadPoolExecutor(1) as beside:
            await loop.run_in_executor(beside, lambda: fuzz(run, border, begin=SEED, examples=EXAMPLES))
