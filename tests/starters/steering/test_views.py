"""`runbooks views` in Temporal's own page: a link saves itself there as a view, and the script all of them."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from sandbox.temporal import Temporal as Server
from starters.steering.views import script, views
from tests.browsers import new_tab
from tests.workflows.worlds.world import World
from workers.settings import Settings, TemporalSettings
from workflows.platform.search_attributes import PROCEDURE, SERVICE, SEVERITY, WAITING_FOR

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def settings(temporal_server: Server) -> Settings:
    where = TemporalSettings(address=temporal_server.address, ui_url=temporal_server.ui_url)
    return Settings(temporal=where, services={"tensafe-server": World().service, "it's": World().service})


async def waiting(client: Client) -> str:
    """Start a run that waits for somebody, as far as lists can tell."""
    name = f"seen-{uuid4()}"
    said = {PROCEDURE: "P1Incident", SERVICE: "tensafe-server", SEVERITY: "P1", WAITING_FOR: "decide mitigation-1"}
    pairs = [SearchAttributePair(key, value) for key, value in said.items()]
    await client.start_workflow("Nobody", id=name, task_queue=name, search_attributes=TypedSearchAttributes(pairs))
    return name


async def saved(page: Page) -> list[str]:
    kept = await page.evaluate("localStorage.getItem('saved-workflow-queries')")
    return [view["name"] for view in json.loads(kept or "{}").get("default", [])]


async def test_every_query_is_one_that_temporal_takes(client: Client, settings: Settings) -> None:
    name = await waiting(client)
    found = {view.name: view.query for view in views(settings)}
    assert [key for key in found if key.startswith("Runs of")] == ["Runs of tensafe-server"]
    for key in ("Waits for somebody", "Open runs", "P1", "Runs of tensafe-server"):
        while name not in [run.id async for run in client.list_workflows(found[key])]:
            pass
    for key in ("P2", "Failed or terminated"):
        assert name not in [run.id async for run in client.list_workflows(found[key])]


async def test_a_link_saves_itself_and_the_script_all_of_them_once(
    browser: Browser, client: Client, settings: Settings, tmp_path: Path
) -> None:
    name = await waiting(client)
    page = await new_tab(browser, viewport={"width": 1600, "height": 900})
    first, *_ = made = views(settings)
    await page.goto(first.link)
    await page.get_by_text(name).first.wait_for()
    await page.wait_for_function("localStorage.getItem('saved-workflow-queries') !== null")
    assert await saved(page) == [first.name]
    for _ in range(2):
        async with page.expect_navigation():
            await page.evaluate(script(settings))
        await page.get_by_text(name).first.wait_for()
    assert sorted(await saved(page)) == sorted(view.name for view in made)
    # The columns that tell runs apart.
    for shown in ("RunbookSeverity", "RunbookWaitingFor", "decide mitigation-1"):
        await page.get_by_text(shown).first.wait_for()
    await page.screenshot(path=tmp_path / "views.png")
