"""The page's process is killed between a click and its answer: pressed again, the word counts once."""

import asyncio
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import tomli_w
from playwright.async_api import expect

from activities.catalogue.service import ApprovalPolicy
from sandbox import probes
from sandbox.ports import free_port
from sandbox.processes import ServerProcess
from sandbox.temporal import Temporal as TemporalServer
from tests.browsers import new_tab
from tests.starters.support import working
from tests.starters.web.served import SERVICE, keys
from tests.starters.web.views import unfolded
from tests.workflows.steering import Handle, begin, until
from tests.workflows.worlds.platform import Platform
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as entered:
        yield entered


class Page:
    """`runbooks web` as a process of its own, always at the same address."""

    def __init__(self, folder: Path, content: dict[str, Any]) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.config = folder / "runbooks.toml"
        web = {"port": self.port, "secret": secrets.token_urlsafe(32)}
        self.config.write_text(tomli_w.dumps({**content, "web": web}), encoding="utf-8")

    def start(self, stack: ExitStack, module: str = "starters") -> ServerProcess:
        server = ServerProcess(
            name="page",
            directory=self.folder / module,
            argv=[sys.executable, "-m", module, "web", "--link", "ada:on-call"],
            env={"RUNBOOKS_CONFIG": str(self.config)},
        )
        server.start()
        stack.callback(server.kill)
        server.wait_ready(probes.http(f"{self.url}/healthz"), 240)
        return server


async def extended(handle: Handle) -> int:
    """Count the extensions that the run has taken."""
    history = await handle.fetch_history()
    taken = [one.workflow_execution_update_accepted_event_attributes for one in history.events]
    return len([one for one in taken if one.accepted_request.input.name == "extend"])


async def test_the_page_s_process_is_killed_before_it_answers(  # noqa: PLR0917  fixtures
    browser: Any,
    own_temporal: TemporalServer,
    create_database: Any,
    records_template: str,
    stack: ExitStack,
    tmp_path: Path,
) -> None:
    key, public = keys()
    world = Platform()
    world.approvals = ApprovalPolicy(public_keys=(public,))
    queue = f"q-{uuid4()}"
    service = world.service.model_dump(mode="json", exclude_none=True, exclude={"name"})
    content = {
        "temporal": {"address": own_temporal.address, "task_queue": queue},
        "records": {"url": create_database(records_template)},
        "services": {SERVICE: service},
        "approvals": {"public_keys": [public]},
        "gateway": {"private_key": key.get_secret_value()},
    }
    page = Page(tmp_path, content)
    async with working(own_temporal.address, queue, world) as client:
        handle = await begin(client, queue, EmergencyScaleUpRequest(), "emergency_scale_up")
        before = await until(handle, lambda status: status.phase == "Autoscaler paused")
        dying = page.start(stack, "tests.starters.web.dying_page")
        ada = await new_tab(browser)
        await ada.goto(re.findall(r"http://\S+/\S+", dying.log.read_text(encoding="utf-8"))[-1])
        await ada.get_by_role("button", name="Sign in").click()
        await ada.goto(f"{page.url}/run?id={handle.id}")
        await unfolded(ada, "extend")
        await ada.locator("#w-extend-by").fill("15m")
        await ada.get_by_role("button", name="Extend").click()
        await expect(ada.locator("#away")).to_contain_text("Press it again: it counts once")
        while dying.exit_code is None:
            await asyncio.sleep(0.05)
        assert await extended(handle) == 1

        page.start(stack)
        await ada.reload()  # as somebody does whose page has lost its server
        await unfolded(ada, "extend")
        await ada.locator("#w-extend-by").fill("15m")
        await ada.get_by_role("button", name="Extend").click()
        await expect(ada.locator("#said .good")).to_be_visible()
        assert await extended(handle) == 1, "the word that was pressed before, and no other"
        once = await until(handle, lambda status: bool(status.leases))
        assert once.leases[0].until - before.leases[0].until == timedelta(minutes=15)

        # It has had its answer now: whoever says the same once more means it.
        await ada.get_by_role("button", name="Extend").click()
        until_now = once.leases[0].until
        await until(handle, lambda status: status.leases[0].until == until_now + timedelta(minutes=15))
        await handle.cancel()
        await ada.context.close()
