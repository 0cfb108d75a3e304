"""A thousand alerts in seconds, the webhook killed twice, every sender trying again: each episode has one run."""

import asyncio
import os
import signal
import time
import tomllib
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from temporalio.client import Client

from sandbox import probes
from sandbox.processes import ServerProcess
from tests.plugins.patience import HANGS
from tests.starters.sources import senders
from tests.starters.sources.senders import BEGAN, Message
from tests.starters.support import process, settings_file
from tests.workflows.worlds.world import World

pytestmark = pytest.mark.servers

ALERTS = 1000
AT_ONCE = 40
KINDS = ("grafana", "datadog", "standard", "events", "pagerduty")


class Storm:
    """The senders: each tries until it has heard 2xx, as they do after 5xx, 429 and broken connections."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accepted = 0
        self.tries = 0
        self.statuses: set[int] = set()
        self.at_once = asyncio.Semaphore(AT_ONCE)

    async def deliver(self, http: httpx.AsyncClient, source: str, message: Message) -> str:
        async with self.at_once:
            ends = time.monotonic() + HANGS
            while time.monotonic() < ends:
                self.tries += 1
                with suppress(httpx.TransportError):
                    answer = await http.post(
                        f"{self.url}/webhooks/{source}", content=message.content, headers=message.headers
                    )
                    self.statuses.add(answer.status_code)
                    if answer.status_code == 202:
                        self.accepted += 1
                        (one,) = answer.json()["alerts"]
                        return str(one["workflow_id"])
                    assert answer.status_code in {429, 503}, answer.text
                await asyncio.sleep(0.1)
        raise AssertionError("never accepted")


def webhook(folder: Path, config: Path) -> ServerProcess:
    server = process(folder, config, "starters.webhook")
    server.start()
    return server


async def test_a_storm_loses_nothing_and_doubles_nothing(temporal_address: str, tmp_path: Path, client: Client) -> None:
    world = World()
    world.service = world.service.model_copy(update={"alerts_by": "alert"})
    queue = f"q-{uuid4()}"
    sources = senders.settings_of(*KINDS)
    config = settings_file(tmp_path, temporal_address, queue, world, webhook={"sources": sources})
    (tmp_path / "routes.toml").write_text(senders.RULES, encoding="utf-8")
    url = f"http://127.0.0.1:{tomllib.loads(config.read_text())['webhook']['port']}"
    mark = uuid4().hex[:8]
    posts = [
        (source, senders.BY_NAME[source].fires(f"{mark}-{number}", BEGAN + timedelta(seconds=number)))
        for number in range(ALERTS)
        for source in [KINDS[number % len(KINDS)]]
    ]
    storm = Storm(url)

    async def kill_twice() -> None:
        server = webhook(tmp_path / "0", config)
        for number in (1, 2):
            while storm.accepted < number * ALERTS // 3:
                await asyncio.sleep(0.01)
            os.kill(server.pid or 0, signal.SIGKILL)
            server.stop()
            server = webhook(tmp_path / str(number), config)
        server.wait_ready(probes.http(f"{url}/healthz"))
        running.append(server)

    running: list[ServerProcess] = []
    try:
        async with httpx.AsyncClient(timeout=30) as http:
            killing = asyncio.create_task(kill_twice())
            runs = await asyncio.gather(*(storm.deliver(http, source, message) for source, message in posts))
            await killing
            assert len(set(runs)) == ALERTS
            assert storm.tries > ALERTS, "nobody had to try again, so nothing was killed in time"
            # All of it once more, as a sender does that never heard the answer.
            again = await asyncio.gather(*(storm.deliver(http, source, message) for source, message in posts[::7]))
            assert again == runs[::7]
    finally:
        for server in running:
            server.stop()

    found: list[tuple[str, str]] = []
    async with asyncio.timeout(HANGS):
        while len(found) < ALERTS:
            found = [(run.id, run.run_id) async for run in client.list_workflows(f'TaskQueue = "{queue}"')]
            await asyncio.sleep(0.5)
    assert len(found) == ALERTS
    assert {workflow_id for workflow_id, _ in found} == set(runs)
