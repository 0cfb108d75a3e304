"""Starting from the Temporal Web UI, in a real browser: with input, with an empty box, and with a typo."""

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import Locator, Page
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from activities.catalogue.run_ids import run_id
from sandbox.assembly import Environment
from sandbox.ports import LOOPBACK
from tests.crash.scenarios.p1_incident import CLOSING
from tests.end_to_end.conftest import Handle, Stack, reads, shown

pytestmark = pytest.mark.timeout(600)

AT_ONCE = 60.0
PICTURE = Path(__file__).parents[2] / "docs/images/temporal-ui.png"
"""Written anew where `RUNBOOKS_SCREENSHOTS` is set."""


@pytest.fixture(scope="module")
def start_url(environment: Environment) -> str:
    """The link to the prefilled form, from where the UI's users have it too."""
    answer = subprocess.run(
        [sys.executable, "-m", "starters", "catalogue", "--format", "json"],
        env={**os.environ, "RUNBOOKS_CONFIG": str(environment.configuration.file)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    (entry,) = [entry for entry in json.loads(answer.stdout) if entry["workflow_type"] == "P1Incident"]
    return str(entry["start_url"])


async def type_into(editor: Locator, text: str) -> None:
    await editor.click()
    await editor.press("Control+A")
    await editor.page.keyboard.insert_text(text)
    # Leaving the editor lays the JSON out in lines, and so moves the buttons below it.
    await editor.blur()
    await editor.locator(".cm-line").nth(1).wait_for()


async def start_in_browser(page: Page, start_url: str, text: str, *, workflow_id: str = "") -> str:
    """Fill in the form that the catalogue's link opens, as a person would; gives the workflow ID."""
    workflow_id = workflow_id or run_id("p1-incident", "tensafe-server")
    await page.goto(re.sub("workflowId=[^&]*", f"workflowId={quote(workflow_id, safe='')}", start_url))
    if text:
        await type_into(page.locator(".cm-content").first, text)
    await page.get_by_role("button", name="Start Workflow", exact=True).last.click()
    await page.get_by_text("Workflow started successfully").first.wait_for()
    return workflow_id


async def failed(handle: Handle) -> ApplicationError:
    """Give why a run failed; it does so at once, and once and for all."""
    with pytest.raises(WorkflowFailureError) as failure:
        await asyncio.wait_for(handle.result(), AT_ONCE)
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "InvalidInput"
    return cause


async def test_with_input_and_closed_there_too(page: Page, stack: Stack, start_url: str) -> None:
    text = json.dumps({"service": "tensafe-server", "title": "Typed into the UI"})
    handle = stack.handle(await start_in_browser(page, start_url, text))
    status = await stack.closable(handle)
    assert status.title == "Typed into the UI"
    await shown(page, stack, handle, "Running", "user-metadata")
    await reads(page, "Waiting for: close")

    await page.get_by_role("button", name="More Actions").click()
    await page.get_by_role("menuitem", name="Send an Update").click()
    dialog = page.get_by_role("dialog").filter(has=page.get_by_role("heading", name="Send an Update"))
    await dialog.get_by_test_id("update-select-button").click()
    await dialog.get_by_role("option", name="Close the incident").click()
    await type_into(dialog.locator(".cm-content"), CLOSING.model_dump_json(exclude_defaults=True))
    await dialog.get_by_role("button", name="Submit").click()

    result = await asyncio.wait_for(handle.result(), 240)
    assert (result.outcome, result.resolution) == ("closed", CLOSING.resolution)
    stack.once(result.incident_id, false_alarm=True)
    await shown(page, stack, handle, "Completed")
    await page.get_by_text(result.incident_id).first.wait_for()


async def test_with_an_empty_box(page: Page, stack: Stack, start_url: str) -> None:
    handle = stack.handle(await start_in_browser(page, start_url, ""))
    result = await stack.close(handle)
    assert result.service == "tensafe-server"
    await shown(page, stack, handle, "Completed")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ({"servcie": "tensafe-server"}, "servcie: there is no such field"),
        ({"service": "tensafe-sever"}, "Known services: tensafe-server"),
    ],
)
async def test_with_a_typo(page: Page, stack: Stack, start_url: str, text: dict[str, str], says: str) -> None:
    own = f"from-the-ui-{uuid4().hex[:8]}"
    handle = stack.handle(await start_in_browser(page, start_url, json.dumps(text), workflow_id=own))
    assert says in str(await failed(handle))
    await shown(page, stack, handle, "Failed")
    await page.get_by_text(says).first.wait_for()
    assert stack.rows("SELECT 1 FROM runbooks.audit_log WHERE workflow_id = %s", handle.id) == [], "nothing is touched"


async def test_an_incident_can_be_read_in_the_browser(page: Page, stack: Stack) -> None:
    handle = await stack.alerted()
    result = await stack.close(handle)
    await shown(page, stack, handle, "Completed", "user-metadata")
    await reads(page, "P1 incident response: tensafe-server is down")
    await reads(page, "roll tensafe-server back from v1.2.4 to v1.2.3")
    await reads(page, f"Closed: {CLOSING.resolution}")
    if os.environ.get("RUNBOOKS_SCREENSHOTS"):
        await page.screenshot(path=PICTURE)
    await shown(page, stack, handle, "Completed")
    await page.get_by_text("2.2/14 Schedule the post-mortem").first.wait_for()
    await page.get_by_text(result.incident_id).first.wait_for()


def encoded(encoding: str, data: bytes) -> dict[str, Any]:
    return {
        "metadata": {"encoding": base64.b64encode(encoding.encode()).decode()},
        "data": base64.b64encode(data).decode(),
    }


@pytest.mark.parametrize(
    ("payloads", "says"),
    [
        pytest.param([encoded("json/plain", b"{")], "input", id="broken JSON"),
        pytest.param([encoded("json/plain", b'"tensafe-server"')], "input", id="a string"),
        pytest.param([encoded("json/plain", b'{"dry_run": "perhaps"}')], "dry_run", id="a wrong type"),
        pytest.param([encoded("json/protobuf", b"{}")], "input", id="protobuf"),
        pytest.param([encoded("binary/encrypted", b"?")], "input", id="unknown encoding"),
        pytest.param([encoded("binary/null", b"")], "null", id="null"),
        pytest.param([encoded("json/plain", b"{}"), encoded("json/plain", b"{}")], "one JSON object", id="two inputs"),
    ],
)
async def test_over_plain_http_bad_input_fails_at_once(stack: Stack, payloads: list[Any], says: str) -> None:
    workflow_id = f"over-http-{uuid4().hex[:8]}"
    port = stack.environment.temporal.http_port
    async with httpx.AsyncClient() as http:
        answer = await http.post(
            f"http://{LOOPBACK}:{port}/api/v1/namespaces/default/workflows/{workflow_id}",
            json={
                "workflowType": {"name": "P1Incident"},
                "taskQueue": {"name": "runbooks"},
                "input": {"payloads": payloads},
            },
        )
    assert answer.status_code == 200, answer.text
    assert says in str(await failed(stack.handle(workflow_id)))
    assert stack.rows("SELECT 1 FROM runbooks.audit_log WHERE workflow_id = %s", workflow_id) == []
