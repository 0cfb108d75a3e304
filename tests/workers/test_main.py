"""A worker's process: it begins, works until it is told to stop, and says what ends it."""

import asyncio

import pytest

from activities.common.errors import Misconfigured
from tests.plugins.patience import HANGS
from workers.__main__ import _until
from workers.later import Later
from workers.queues import Queues
from workers.settings import (
    SettingsError,
)
from workers.wiring import Wired


async def test_what_only_a_client_sees_ends_a_worker_that_has_begun() -> None:
    async with asyncio.timeout(HANGS):
        with pytest.raises(SettingsError, match="nothing there"):
            await _until(asyncio.Event(), Wired({}, [Later(_nothing_there)], Queues("q")))


async def test_a_worker_that_has_warmed_up_works_until_it_is_told_to_stop() -> None:
    stop, made = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    wired = Wired({}, [Later(lambda: loop.call_soon_threadsafe(made.set))], Queues("q"))
    working = asyncio.create_task(_until(stop, wired))
    async with asyncio.timeout(HANGS):
        await made.wait()
        await asyncio.sleep(0.05)
        assert not working.done()
        stop.set()
        await working


def _nothing_there() -> None:
    raise Misconfigured("no access to Kubernetes: nothing there")
