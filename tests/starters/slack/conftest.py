"""The Slack process beside a stand-in of Slack, on the real Temporal, PostgreSQL and a worker."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.catalogue.service import ApprovalPolicy
from activities.messages.chat.chat import Slack
from activities.messages.chat.slack import SlackChat
from activities.messages.chat.slack_calls import SlackCalls
from activities.messages.chat.threads import Threads
from starters.http import serving
from starters.slack.conversation import Conversation
from starters.slack.following import Follower
from starters.slack.over_http import application
from starters.slack.over_socket import Socket
from starters.slack.people import People
from starters.slack.speaking import Speaker
from starters.steering.session import Session
from tests.records_schema.fixtures import records_pool, records_url  # noqa: F401
from tests.starters.slack.workspace import APP_TOKEN, SIGNING_SECRET, TEAM, TOKEN, Workspace, workspace
from tests.workflows.worlds.world import World, instead
from workers import worker
from workers.clients import connect
from workers.settings import GatewaySettings, Settings, SlackPersonSettings, SlackSettings, TemporalSettings

PEOPLE = {
    "UADA": SlackPersonSettings(who="ada@example.org", roles=("commander", "on-call")),
    "UBOB": SlackPersonSettings(who="bob@example.org", roles=("engineering-lead",)),
    "UEVE": SlackPersonSettings(who="eve@example.org", roles=("csm",)),
}


class Office:
    """All of it, around a service and a task queue of this test's own."""

    def __init__(self, address: str, pool: ConnectionPool[Any], space: Workspace, *, posts: bool) -> None:
        self.address, self.pool, self.slack = address, pool, space
        self.service, self.queue = f"s-{uuid4().hex[:10]}", f"q-{uuid4()}"
        self.channel = space.contract.add_channel(self.service, member=True)
        key = Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        self.approvals = ApprovalPolicy(public_keys=(base64.b64encode(raw).decode(),))
        self.world = World(approvals=self.approvals)
        self.world.service = self.world.service.model_copy(update={"channel": f"#{self.service}"})
        self.world.others = {self.service: self.world.service}
        self.settings = Settings(
            temporal=TemporalSettings(address=address, task_queue=self.queue),
            services={self.service: self.world.service},
            approvals=self.approvals,
            gateway=GatewaySettings(private_key=SecretStr(pem)),
            slack=SlackSettings(
                backend="slack" if posts else "records",
                token=SecretStr(TOKEN),
                base_url=f"{space.base}/api/",
                app_token=SecretStr(APP_TOKEN),
                signing_secrets=(SecretStr(SIGNING_SECRET),),
                team_id=TEAM,
                people=PEOPLE,
                follow_every=timedelta(milliseconds=200),
            ),
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        client = await connect(TemporalSettings(address=self.address))
        chat = Slack(SlackChat(SecretStr(TOKEN), f"{self.slack.base}/api/"))
        mine: list[Callable[..., Any]] = [chat.post] if self.settings.slack.backend == "slack" else []
        activities = instead(self.world.activities(), *mine)
        async with worker.build(client, TemporalSettings(task_queue=self.queue), activities):
            yield

    @asynccontextmanager
    async def listening(self, way: str, *, follows: bool = True) -> AsyncIterator[Session]:
        """Run what `python -m starters.slack` runs, in this process, with one way in."""
        session = Session(self.settings, await connect(self.settings.temporal))
        slack, token = self.settings.slack, SecretStr(TOKEN)
        calls, chat = SlackCalls(token, slack.base_url), SlackChat(token, slack.base_url)
        follower = Follower(session, calls, chat, Threads(self.pool), lambda: follows)
        conversation = Conversation(session, People(slack, calls), calls, Speaker(session, follower.nudge))
        async with AsyncExitStack() as running:
            following = asyncio.create_task(follower.run())
            running.callback(following.cancel)
            if way == "socket":
                socket = Socket(conversation, SecretStr(APP_TOKEN), slack.base_url)
                running.push_async_callback(socket.close)
                await socket.open()
                await self.slack.connected()
                self.slack.url = None
            else:

                async def ready() -> bool:
                    return True

                server = serving.server(
                    application(conversation, [SIGNING_SECRET], ready), host="127.0.0.1", port=0, log_level="warning"
                )
                serving_now = asyncio.create_task(server.serve())
                while not server.started:
                    await asyncio.sleep(0.01)
                self.slack.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

                async def stop() -> None:
                    server.should_exit = True
                    await serving_now

                running.push_async_callback(stop)
            yield session
            await conversation.settle(10)

    async def run_of(self, session: Session, part: str = "") -> str:
        """Give the workflow ID of the service's only run."""
        async with asyncio.timeout(240):
            while True:
                query = f'RunbookService = "{self.service}"'
                found = [one.id async for one in session.client.list_workflows(query) if part in one.id]
                if found:
                    return found[0]
                await asyncio.sleep(0.1)


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said at once is said at once, however busy this machine is."""
    monkeypatch.setattr("starters.slack.conversation.WITHIN", 60.0)


@pytest.fixture
async def office(temporal_address: str, records_pool: Any) -> AsyncIterator[Office]:  # noqa: F811
    """With a run whose own messages go elsewhere."""
    async with workspace() as space:
        yield Office(temporal_address, records_pool, space, posts=False)


@pytest.fixture
async def posting_office(temporal_address: str, records_pool: Any) -> AsyncIterator[Office]:  # noqa: F811
    """With runs that post to Slack themselves."""
    async with workspace() as space:
        yield Office(temporal_address, records_pool, space, posts=True)
