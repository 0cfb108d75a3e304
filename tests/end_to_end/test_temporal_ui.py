"""Starting from the Temporal Web UI, in a real browser: with input, with an empty box, and with a typo."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Page, async_playwright
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from sandbox.browser import OPTIONS, ensure
from sandbox.ports import LOOPBACK
from tests.end_to_end.conftest import Stack

pytestmark = pytest.mark.timeout(120)


def catalogue(stack: Stack) -> Any:
    """Ask the command line, as the UI's users would."""
    answer = subprocess.run(
        [sys.executable, "-m", "starters", "catalogue", "--format", "json"],
        env={**os.environ, "RUNBOOKS_CONFIG": str(stack.environment.configuration.file)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [entry for entry in json.loads(answer.stdout) if entry["workflow_type"] == "P1Incident"]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(ensure()), args=list(OPTIONS))
        yield await browser.new_page(viewport={"width": 1400, "height": 1000})
        await browser.close()


async def start_in_browser(page: Page, stack: Stack, text: str) -> str:
    """Fill in the form that the catalogue's link opens, as a person would; gives the workflow ID."""
    workflow_id = f"from-the-ui-{uuid4().hex[:8]}"
    (entry,) = await asyncio.to_thread(catalogue, stack)
    await page.goto(re.sub("workflowId=[^&]*", f"workflowId={workflow_id}", entry["start_url"]))
    if text:
        editor = page.locator(".cm-content").first
        await editor.click()
        await page.keyboard.press("Control+A")
        await page.keyboard.insert_text(text)
        # Leaving the editor lays the JSON out in lines, and so moves the button.
        await editor.blur()
        await page.locator(".cm-line", has_text="}").nth(0).wait_for()
    await page.get_by_role("button", name="Start Workflow", exact=True).last.click()
    await page.get_by_text("Workflow started successfully").first.wait_for()
    return workflow_id


async def shown(page: Page, stack: Stack, workflow_id: str) -> None:
    await page.goto(f"{stack.environment.temporal.ui_url}/namespaces/default/workflows/{workflow_id}")


async def test_with_input(page: Page, stack: Stack) -> None:
    text = json.dumps({"service": "tensafe-server", "title": "Typed into the UI"})
    workflow_id = await start_in_browser(page, stack, text)
    handle = stack.handle(workflow_id)
    status = await stack.closable(handle)
    assert status.title == "Typed into the UI"
    await shown(page, stack, workflow_id)
    await page.get_by_text("Running", exact=False).first.wait_for()
    await stack.close(handle)
    await shown(page, stack, workflow_id)
    await page.get_by_text("Completed", exact=False).first.wait_for()


async def test_with_an_empty_box(page: Page, stack: Stack) -> None:
    workflow_id = await start_in_browser(page, stack, "")
    result = await stack.close(stack.handle(workflow_id))
    assert result.service == "tensafe-server"


async def test_with_a_typo(page: Page, stack: Stack) -> None:
    workflow_id = await start_in_browser(page, stack, json.dumps({"servcie": "tensafe-server"}))
    with pytest.raises(WorkflowFailureError) as failure:
        await stack.handle(workflow_id).result()
    assert "servcie: Extra inputs are not permitted" in str(failure.value.cause)
    await shown(page, stack, workflow_id)
    await page.get_by_text("servcie: Extra inputs are not permitted").first.wait_for()


def encoded(encoding: str, data: bytes) -> dict[str, Any]:
    return {"metadata": {"encoding": base64.b64encode(encoding.encode()).decode()},
            "data": base64.b64encode(data).decode()}  # fmt: skip


@pytest.mark.parametrize(
    ("payloads", "says"),
    [
        ([encoded("json/plain", b"{")], "input"),
        ([encoded("json/plain", b'"tensafe-server"')], "input"),
        ([encoded("json/protobuf", b"{}")], "input"),
        ([encoded("binary/null", b"")], "null"),
        ([encoded("json/plain", b"{}"), encoded("json/plain", b"{}")], "one JSON object"),
    ],
)
async def test_over_plain_http_bad_input_fails_at_once(stack: Stack, payloads: list[Any], says: str) -> None:
    workflow_id = f"over-http-{uuid4().hex[:8]}"
    port = stack.environment.temporal.http_port
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"http://{LOOPBACK}:{port}/api/v1/namespaces/default/workflows/{workflow_id}",
            json={"workflowType": {"name": "P1Incident"}, "taskQueue": {"name": "runbooks"},
                  "input": {"payloads": payloads}},
        )  # fmt: skip
    assert answer.status_code == 200, answer.text
    with pytest.raises(WorkflowFailureError) as failure:
        await stack.handle(workflow_id).result()
    assert says in str(failure.value.cause)
    assert (await stack.handle(workflow_id).describe()).status is WorkflowExecutionStatus.FAILED
