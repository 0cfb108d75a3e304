"""The page's views in a browser, and what is done in them."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from sandbox.temporal import Temporal
from tests.browsers import new_tab
from tests.starters.web.served import Served, keys, serving
from tests.workflows.worlds.platform import Platform

HOSTILE = "<script>document.title='run'</script><img src=x onerror=alert(1)>\u202e{{7*7}}" + "x" * 120


@pytest.fixture(scope="module")
async def served(own_temporal: Temporal, create_database: Any, records_template: str) -> AsyncIterator[Served]:
    key, public = keys()
    world = Platform()
    world.service = world.service.model_copy(update={"incident": IncidentPolicy(mitigation="approve")})
    world.approvals = ApprovalPolicy(public_keys=(public,), second_person=("mitigate",))
    async with serving(own_temporal.address, create_database(records_template), world, key) as page:
        yield page


async def entered(browser: Browser, served: Served, who: str, role: str, troubles: list[str], **options: Any) -> Page:
    """Sign in as a person does; whatever the browser complains of is kept."""
    page = await new_tab(browser, timezone_id="Europe/Berlin", **options)
    page.on("console", lambda message: troubles.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda one: None if one.url.startswith((served.base_url, "data:")) else troubles.append(one.url))
    await page.goto(served.link(who, role))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Now")).to_be_visible()
    return page


async def unfolded(page: Page, word: str) -> None:
    """Open a word's form; it may be open already, where the run waits for it."""
    form = page.locator("details", has=page.locator(f"input[name=word][value={word}]"))
    await form.evaluate("one => { one.open = true }")


async def finds_nothing(page: Page) -> None:
    """Have axe-core look for what keeps people out."""
    found = await Axe().run(page)
    assert found.response["violations"] == [], found.generate_report()


VIEWS = {"now": "/", "run": "", "runbook": "/runbook", "procedure": "/runbook/emergency-scale-up", "search": "/search"}
