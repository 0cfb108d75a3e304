"""The operators' page as people get it: a server on a port of its own, on a Temporal of these tests' own."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr
from temporalio.client import Client

from records_schema.pool import connect_pool
from starters.http.serving import server
from starters.steering.identity import Person
from starters.steering.session import Session
from starters.web.app import application
from starters.web.signing_in import Links
from tests.workflows.worlds.world import World
from workers import worker
from workers.clients import connect
from workers.settings import GatewaySettings, RecordsSettings, Settings, TemporalSettings, WebSettings

SERVICE = "tensafe-server"


@dataclass
class Served:
    """One page, and what is behind it."""

    base_url: str
    links: Links
    settings: Settings
    client: Client
    queue: str
    app: Any
    world: World

    def link(self, who: str, role: str) -> str:
        return f"{self.base_url}{self.links.make(Person(who, role))}"

    @contextlib.asynccontextmanager
    async def signed_in(self, who: str = "ada", role: str = "commander") -> AsyncIterator[httpx.AsyncClient]:
        """Give a browser without a screen that has signed in."""
        async with httpx.AsyncClient(base_url=self.base_url, timeout=60) as http:
            answer = await http.post(self.link(who, role), headers={"Sec-Fetch-Site": "same-origin"})
            assert answer.status_code == 303, answer.text
            yield http


def keys() -> tuple[SecretStr, str]:
    """Give a gateway's key, and its public half as settings have it."""
    import base64  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return SecretStr(pem.decode()), base64.b64encode(public).decode()


@contextlib.asynccontextmanager
async def serving(
    address: str,
    records_url: str,
    world: World,
    key: SecretStr,
    *,
    web: WebSettings | None = None,
    work: bool = True,
    port: int = 0,
    service: str = SERVICE,
) -> AsyncIterator[Served]:
    """Serve it, with a worker beside it that plays the procedures in a made-up world."""
    queue = f"q-{uuid4()}"
    settings = Settings(
        temporal=TemporalSettings(address=address, task_queue=queue),
        records=RecordsSettings(url=SecretStr(records_url)),
        services={service: world.service},
        approvals=world.approvals,
        gateway=GatewaySettings(private_key=key),
        web=web or WebSettings(),
    )
    client = await connect(settings.temporal, lazy=True)
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    base_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    links = Links()
    with connect_pool(records_url, max_size=4) as pool:
        app = application(Session(settings, client), pool, links, base_url)
        running = server(app, host="127.0.0.1", port=0, log_level="warning", timeout_graceful_shutdown=1)
        running.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        task = asyncio.create_task(running.serve(sockets=[listening]))
        try:
            while not running.started:
                await asyncio.sleep(0.02)
                assert not task.done(), "it did not start"
            async with contextlib.AsyncExitStack() as stack:
                if work:
                    connected = await connect(TemporalSettings(address=address))
                    await stack.enter_async_context(
                        worker.build(connected, TemporalSettings(task_queue=queue), world.activities())
                    )
                yield Served(base_url, links, settings, client, queue, app, world)
        finally:
            running.should_exit = True
            await task
