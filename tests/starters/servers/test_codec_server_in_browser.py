"""The Temporal UI reads and starts encrypted runs by the codec server, in a real browser."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page
from pydantic import SecretStr
from temporalio.client import Client

from sandbox import probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess
from sandbox.temporal import Temporal as Server
from tests.browsers import new_tab
from workers.clients import connect
from workers.settings import TemporalSettings

pytestmark = pytest.mark.timeout(600)

CANARY = "canary-4711"
TOKEN = "a-token-for-tests"
KEY = base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
async def client(temporal_server: Server) -> Client:
    return await connect(TemporalSettings(address=temporal_server.address, payload_keys=(SecretStr(KEY),)))


@pytest.fixture
async def page(browser: Browser, temporal_server: Server, tmp_path: Path) -> AsyncIterator[Page]:
    """A browser that knows the token, and whose Temporal UI knows the codec server."""
    port = free_port()
    server = ServerProcess(
        name="codec-server",
        directory=tmp_path,
        argv=[sys.executable, "-m", "starters", "codec-server", "--port", str(port)],
        env={
            "RUNBOOKS_TEMPORAL__PAYLOAD_KEYS": json.dumps([KEY]),
            "RUNBOOKS_TEMPORAL__UI_URL": temporal_server.ui_url,
            "RUNBOOKS_CODEC_TOKEN": TOKEN,
        },
    )
    server.start()
    try:
        await asyncio.to_thread(server.wait_ready, probes.tcp(port))
        opened = await new_tab(browser)
        # As a person does who answers the browser's question.
        await opened.goto(f"http://ada:{TOKEN}@{LOOPBACK}:{port}/")
        await opened.goto(temporal_server.ui_url)
        settings = {
            "endpoint": f"http://{LOOPBACK}:{port}",
            "includeCredentials": True,
            "overrideRemoteCodecConfiguration": True,
        }
        for name, value in settings.items():
            await opened.evaluate("([name, value]) => localStorage.setItem(name, value)", [name, json.dumps(value)])
        yield opened
        await opened.screenshot(path=tmp_path / "page.png")
    finally:
        server.stop()


async def test_the_ui_shows_what_is_encrypted(page: Page, client: Client, temporal_server: Server) -> None:
    run = await client.start_workflow("Nobody", {"title": CANARY}, id=f"ui-{uuid4()}", task_queue=f"q-{uuid4()}")
    await page.goto(f"{temporal_server.ui_url}/namespaces/default/workflows/{run.id}/{run.result_run_id}/history")
    await page.get_by_text(CANARY).first.wait_for()


async def test_what_the_ui_starts_is_encrypted(page: Page, client: Client, temporal_server: Server) -> None:
    run = f"ui-{uuid4()}"
    await page.goto(
        f"{temporal_server.ui_url}/namespaces/default/workflows/start-workflow"
        f"?workflowId={run}&taskQueue=q-{run}&workflowType=Nobody"
    )
    editor = page.locator(".cm-content").first
    await editor.click()
    await page.keyboard.insert_text(json.dumps({"title": CANARY}))
    await editor.blur()
    await page.get_by_role("button", name="Start Workflow", exact=True).last.click()
    await page.get_by_text("Workflow started successfully").first.wait_for()

    history = await client.get_workflow_handle(run).fetch_history()
    (sealed,) = history.events[0].workflow_execution_started_event_attributes.input.payloads
    assert sealed.metadata["encoding"] == b"binary/encrypted"
    assert await client.data_converter.decode([sealed]) == [{"title": CANARY}]
