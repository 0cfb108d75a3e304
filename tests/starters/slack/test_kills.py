"""A process is killed between a press in Slack and its effect: the word counts once."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import tomli_w

from sandbox.ports import free_port
from sandbox.processes import ServerProcess
from starters.steering.session import Session
from tests.starters.dying_worker import Room
from tests.starters.slack.conftest import Office
from tests.starters.slack.words import begun, words_taken
from tests.starters.slack.workspace import APP_TOKEN, SIGNING_SECRET, TEAM, TOKEN, NotAnsweredError
from workers.clients import connect

pytestmark = pytest.mark.servers


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


class Slack:
    """`python -m starters.slack` as a process of its own."""

    def __init__(self, office: Office, folder: Path, url: str, way: str) -> None:
        self.office, self.folder, self.port, self.way = office, folder, free_port(), way
        settings = office.settings
        assert settings.gateway.private_key is not None
        credentials = {"app_token": APP_TOKEN} if way == "socket" else {"signing_secrets": [SIGNING_SECRET]}
        service = office.world.service.model_dump(mode="json", exclude_none=True, exclude={"name"})
        content = {
            "temporal": {"address": office.address, "task_queue": office.queue},
            "records": {"url": url},
            "services": {office.service: service},
            "approvals": {"public_keys": [*office.approvals.public_keys]},
            "gateway": {"private_key": settings.gateway.private_key.get_secret_value()},
            "slack": {
                "token": TOKEN,
                "base_url": settings.slack.base_url,
                "team_id": TEAM,
                "port": self.port,
                "follow_every": "PT0.2S",
                **credentials,
                "people": {name: one.model_dump(mode="json") for name, one in settings.slack.people.items()},
            },
        }
        self.config = folder / "runbooks.toml"
        self.config.write_text(tomli_w.dumps(content), encoding="utf-8")

    async def start(self, stack: ExitStack, module: str = "starters.slack") -> ServerProcess:
        server = ServerProcess(
            name="slack",
            directory=self.folder / module,
            argv=[sys.executable, "-m", module],
            env={"RUNBOOKS_CONFIG": str(self.config)},
        )
        server.start()
        stack.callback(server.kill)
        async with asyncio.timeout(240), httpx.AsyncClient() as http:
            while True:
                try:
                    if (await http.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5)).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        self.office.slack.url = f"http://127.0.0.1:{self.port}" if self.way == "http" else None
        return server


@pytest.mark.parametrize("way", ["http", "socket"])
async def test_slack_s_process_is_killed_before_it_answers(
    office: Office, records_url: str, stack: ExitStack, tmp_path: Path, way: str
) -> None:
    slack = Slack(office, tmp_path, records_url, way)
    session = Session(office.settings, await connect(office.settings.temporal))
    async with office.working():
        dying = await slack.start(stack, "tests.starters.slack.dying_slack")
        await begun(office)
        asked = await office.slack.head(office.channel, "mitigation-1")
        press = office.slack.presses(asked["blocks"], "rollback")
        with pytest.raises(NotAnsweredError):
            await office.slack.deliver("interactive", press)
        while dying.exit_code is None:
            await asyncio.sleep(0.05)
        while office.slack.sockets:
            await asyncio.sleep(0.05)

        await slack.start(stack)
        again = office.slack.presses(asked["blocks"], "rollback")
        await office.slack.deliver("interactive", again)
        assert "rollback" in await office.slack.whisper("mitigation-1 is decided")
        await office.slack.head(office.channel, "mitigation-1: rollback", '"Close"')
        assert await words_taken(session, f"p1-incident/{office.service}") == 1
        assert len(office.world.done("kubernetes.undo_rollout")) == 1, office.world.effects
        heads = [one for one in office.slack.contract.channels[office.channel]["messages"] if "thread_ts" not in one]
        assert len(heads) == 1


async def test_the_worker_is_killed_between_a_press_and_its_effect(
    office: Office, stack: ExitStack, tmp_path: Path
) -> None:
    room = Room(tmp_path / "room", office.world, address=office.address, queue=office.queue, service=office.service)
    dying = room.start(stack, at="kubernetes.undo_rollout")
    async with office.listening("socket") as session:
        await begun(office)
        asked = await office.slack.head(office.channel, "mitigation-1")
        await office.slack.press(asked["blocks"], "rollback")
        while dying.exit_code is None:
            await asyncio.sleep(0.05)
        assert room.done("kubernetes.undo_rollout") == 0
        # Whoever presses again, with nobody at work, says nothing new either.
        again = asyncio.create_task(office.slack.press(asked["blocks"], "rollback"))

        room.start(stack)
        await office.slack.head(office.channel, "mitigation-1: rollback", '"Close"')
        await again
        assert await words_taken(session, f"p1-incident/{office.service}") == 1
        assert room.done("kubernetes.undo_rollout") == 1
