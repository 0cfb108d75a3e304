"""Every view with no run, with one and with many, hostile text in all of them, and with servers away.

`RUNBOOKS_SCREENSHOTS=FOLDER` makes the pictures of every width in the light and in the dark, with a thousand runs: to
be looked at after a change of the page. Without it a few are made, of fewer runs, and held against the screen's width.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from psycopg_pool import ConnectionPool
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from activities.messages.status_page.records import RecordsStatusPage
from activities.messages.status_page.status_page import UpdateMaintenance, UpdateStatusPage
from records_schema.pool import connect_pool
from sandbox.temporal import Temporal
from tests.records_schema.fixtures import effect
from tests.starters.web.served import SERVICE as TENSAFE
from tests.starters.web.served import Served, keys, serving
from tests.starters.web.views import HOSTILE, VIEWS, entered
from tests.workflows.steering import begin, until
from tests.workflows.worlds.platform import Platform
from workers.registry import PROCEDURES
from workflows.incident_response.p1_incident import P1Request
from workflows.platform.search_attributes import INCIDENT, SERVICE, SEVERITY

pytestmark = pytest.mark.timeout(1800)
FOLDER = os.environ.get("RUNBOOKS_SCREENSHOTS")
MANY = 1000 if FOLDER else 60
EACH = [(width, scheme) for width in (360, 768, 1440) for scheme in ("light", "dark")]
SCREENS: dict[str, list[tuple[int, Any]]] = {
    "none": EACH if FOLDER else [(360, "dark")],
    "one": EACH if FOLDER else [],  # `test_page_in_browser` has it
    "many": EACH if FOLDER else [(360, "light"), (1440, "dark")],
    "away": EACH if FOLDER else [(360, "light")],
}
SAYS = {
    "temporal-now": ("Temporal does not answer", "What still works: the runbook, the archive and the public"),
    "temporal-search": ("only the archive can be searched", "Nothing is archived yet"),
    "temporal-procedure": ("Temporal does not answer",),
    "temporal-run": ("Temporal does not answer", "What still works"),
    "temporal-status": ("All systems operational",),
    "records-now": ("The records don't answer",),
    "records-search": ("The archive can't be read now",),
    "records-report": ("The records don't answer", "what is open, and all that is said to it"),
    "records-status": ("We can't say how things are just now",),
}
"""What a view says, and what of it still works, while a server is away."""


@pytest.fixture
async def served(
    tmp_path: Path, create_database: Any, records_template: str, own_temporal: Temporal
) -> AsyncIterator[Served]:
    key, public = keys()
    world = Platform()
    world.service = world.service.model_copy(update={"incident": IncidentPolicy(mitigation="approve")})
    world.approvals = ApprovalPolicy(public_keys=(public,))
    async with serving(own_temporal.address, create_database(records_template), world, key) as page:
        yield page


async def started(client: Client, number: int) -> None:
    """Leave a run in visibility as our own starters do, with whatever text; nobody works on it."""
    procedure = PROCEDURES[number % len(PROCEDURES)]
    text = f"{HOSTILE} {number}"
    await client.start_workflow(
        procedure.workflow_type,
        id=f"{procedure.command}/{HOSTILE}/{number}",
        task_queue="nobody-works-here",
        memo={"runbook": {"section": procedure.section, "title": text}, "said": {"phase": text}, "started_by": text},
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(SERVICE, HOSTILE),
                SearchAttributePair(SEVERITY, ("P1", "P2", "P3")[number % 3]),
                SearchAttributePair(INCIDENT, text),
            ]
        ),
    )


def hostile_news(pool: ConnectionPool[Any]) -> None:
    """Publish something, and announce something, with whatever text."""
    begins, told = datetime.now(UTC) + timedelta(hours=1), RecordsStatusPage(pool)
    common: dict[str, Any] = {"component": "api", "title": HOSTILE, "message": f"{HOSTILE} {HOSTILE}"}
    told.update(UpdateStatusPage(incident_id="INC-1", status="Investigating", effect=effect("1"), **common))
    told.maintenance(
        UpdateMaintenance(
            window_id="MW-1",
            status="Scheduled",
            starts_at=begins,
            ends_at=begins + timedelta(hours=1),
            effect=effect("2"),
            **common,
        )
    )


async def pictures(browser: Any, served: Served, count: str, views: dict[str, str], folder: Path) -> None:
    for width, scheme in SCREENS[count]:
        troubles: list[str] = []
        page = await entered(
            browser,
            served,
            HOSTILE[:80],
            "commander",
            troubles,
            color_scheme=scheme,
            viewport={"width": width, "height": 800},
        )
        for name, path in views.items():
            await page.goto(f"{served.base_url}{path}")
            if name == "run":
                await expect(page.locator("#picture img").first).to_be_visible()
            for text in SAYS.get(name, ()):
                await expect(page.locator("main")).to_contain_text(text)
            if count in {"one", "many"} and name in {"now", "search"}:
                await expect(page.locator(".row").first).to_be_visible()
                tall = await page.locator(".row .what").first.evaluate("one => one.clientHeight / innerHeight")
                assert tall < 0.1, "a long title doesn't take the screen"
            # A thousand rows are no picture to look at.
            await page.screenshot(path=folder / f"{count}-{name}-{width}-{scheme}.png", full_page=count != "many")
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name}, {count}, {width}: wider than the screen by {wide}"
        await page.context.close()


async def test_each_view_with_no_run_with_one_and_with_many(
    browser: Any,
    served: Served,
    tmp_path: Path,
) -> None:
    folder = Path(FOLDER or tmp_path)
    still = {"status": "/status/", "sign-in": "/sign-in"}
    none = {name: path for name, path in VIEWS.items() if name != "run"}
    await pictures(browser, served, "none", {**none, **still}, folder)
    served.world.bad_release()
    handle = await begin(served.client, served.queue, P1Request(title=HOSTILE), "p1_incident")
    await until(handle, lambda now: bool(now.questions))
    run = {"run": f"/run?id={handle.id}"}
    with connect_pool(served.settings.records.url.get_secret_value(), max_size=1) as pool:
        hostile_news(pool)
    async with served.signed_in() as http, asyncio.timeout(240):
        while "alert(1)" not in (await http.get("/status/")).text:  # it is made anew every ten seconds
            await asyncio.sleep(0.2)
    await pictures(browser, served, "one", {**VIEWS, **run, **still}, folder)
    turn = asyncio.Semaphore(20)

    async def one(number: int) -> None:
        async with turn:
            await started(served.client, number)

    await asyncio.gather(*map(one, range(MANY)))
    async with served.signed_in() as http:
        async with asyncio.timeout(240):
            while (await http.get("/now")).text.count('class="row') < MANY:
                await asyncio.sleep(0.2)
        begins = (await http.get("/")).text
        assert begins.count('class="row') < MANY, "a page begins with a part of them, and asks for the others"
        assert " more</a>" in begins
    await pictures(browser, served, "many", {"now": "/", "search": "/search"}, folder)
    await handle.terminate("the test has seen enough")
    async for left in served.client.list_workflows("TaskQueue = 'nobody-works-here' AND ExecutionStatus = 'Running'"):
        await served.client.get_workflow_handle(left.id).terminate("the test has seen enough")


async def test_what_is_shown_while_temporal_or_the_records_are_away(
    browser: Any,
    tmp_path: Path,
    own_temporal: Temporal,
    create_database: Any,
    records_template: str,
) -> None:
    folder = Path(FOLDER or tmp_path)
    key, _ = keys()
    gone, there = "postgresql://nobody@127.0.0.1:1/records", create_database(records_template)
    for name, address, url in (("temporal", "127.0.0.1:1", there), ("records", own_temporal.address, gone)):
        async with serving(address, url, Platform(), key, work=False) as page:
            views = {f"{name}-now": "/", f"{name}-search": "/search", f"{name}-runbook": "/runbook"}
            views |= {f"{name}-procedure": "/runbook/rollback", f"{name}-status": "/status/"}
            views |= {f"{name}-report": "/report", f"{name}-run": f"/run?id=p1-incident/{TENSAFE}"}
            await pictures(browser, page, "away", views, folder)
