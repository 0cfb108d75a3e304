"""The operators' page in a real browser: a P1 from sign-in to its close, and every view in every width."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.starters.web.served import Served
from tests.starters.web.views import (
    HOSTILE,
    VIEWS,
    entered,
    finds_nothing,
    served,  # noqa: F401
    unfolded,
)
from tests.workflows.steering import begin, until
from workflows.incident_response.p1_incident import P1Request
from workflows.scaling.emergency_scale_up import EmergencyScaleUpRequest

pytestmark = pytest.mark.timeout(600)
PICTURES = Path(__file__).parents[3] / "docs/images"
"""Those of docs/web.md are written anew where `RUNBOOKS_SCREENSHOTS` is set; all others go to the folder it names."""


async def test_an_incident_from_sign_in_to_close_by_two_people(browser: Browser, served: Served) -> None:  # noqa: F811
    served.world.bad_release()
    troubles: list[str] = []
    ada = await entered(browser, served, "ada", "commander", troubles)
    await ada.goto(f"{served.base_url}/runbook/p1-incident")
    await ada.get_by_label("Title").fill(HOSTILE)
    await ada.get_by_role("button", name="Show what it would do").click()
    await ada.get_by_role("button", name="Start it, as ada (commander)").click()
    await expect(ada.get_by_text("rollback", exact=True).first).to_be_visible()
    assert await ada.title() != "run"

    # Two people at once: one is the second to say so, and the other is told.
    bo = await entered(browser, served, "bo", "on-call", troubles)
    cy = await entered(browser, served, "cy", "on-call", troubles)
    await bo.get_by_role("link", name="P1").first.click()
    await cy.goto(bo.url)
    typed = cy.get_by_label("Reason").first
    await typed.fill("half a sentence")
    await bo.get_by_role("button", name="rollback").click()
    await expect(bo.locator("#said")).to_contain_text("needs a second person")
    await expect(cy.locator("#part-questions")).to_contain_text("bo (on-call) has said rollback")
    assert await typed.input_value() == "half a sentence", "what somebody types stays when the page goes on"
    await bo.get_by_role("button", name="rollback").click()
    await expect(bo.locator("#said")).to_contain_text("was the first")
    # Whoever has started it is none of the two.
    await ada.get_by_role("button", name="rollback").click()
    await expect(ada.locator("#said")).to_contain_text("started this run")
    await cy.get_by_role("button", name="rollback").click()
    await expect(cy.locator("#said")).to_contain_text("decided by bo (on-call) and cy (on-call)")

    # What is live came to everybody; the form of the question is gone for all.
    await expect(ada.locator("#part-questions form")).to_have_count(0)
    await expect(ada.locator("#part-timeline")).to_contain_text("cy (on-call)")
    await unfolded(bo, "take-over")
    await bo.get_by_role("button", name="Take over").click()
    await expect(bo.locator("#said .notice")).to_contain_text("bo")
    await unfolded(ada, "close")
    await ada.get_by_label("Resolution").fill("rolled back")
    await ada.get_by_label("Root cause").fill("v1.2.4 crashes")
    await ada.get_by_label("Force").select_option("yes")
    await ada.locator("#part-words").get_by_role("button", name="Close").click()
    await expect(bo.locator("#part-state")).to_contain_text("closed")
    await finds_nothing(ada)
    assert [one for one in troubles if "409" not in one] == []


async def test_a_pause_is_extended_with_its_countdown(browser: Browser, served: Served) -> None:  # noqa: F811
    served.world.cure("rollback")
    troubles: list[str] = []
    handle = await begin(served.client, served.queue, EmergencyScaleUpRequest(), "emergency_scale_up")
    await until(handle, lambda status: status.phase == "Autoscaler paused")
    ada = await entered(browser, served, "ada", "on-call", troubles)
    held = ada.locator(".group", has=ada.get_by_role("heading", name="Held"))
    await expect(held).to_contain_text("left")
    await held.get_by_role("link").first.click()
    await unfolded(ada, "extend")
    await ada.locator("#w-extend-by").fill("soon")
    await ada.get_by_role("button", name="Extend").click()
    await expect(ada.locator("#said")).to_contain_text("a duration is expected")
    await ada.locator("#w-extend-by").fill("15m")
    await ada.get_by_role("button", name="Extend").click()
    await expect(ada.locator("#said .good")).to_be_visible()
    await unfolded(ada, "resume")
    await ada.get_by_role("button", name="Resume").click()
    await handle.result()
    assert [one for one in troubles if "422" not in one] == []


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (768, "dark"), (1440, "light"), (360, "dark")])
async def test_every_view_fits_and_keeps_nobody_out(
    browser: Browser,
    served: Served,  # noqa: F811
    width: int,
    scheme: Any,
    tmp_path: Path,
) -> None:
    served.world.bad_release()
    handle = await begin(served.client, served.queue, P1Request(title=HOSTILE), "p1_incident")
    await until(handle, lambda now: bool(now.questions))
    troubles: list[str] = []
    page = await entered(
        browser,
        served,
        f"{HOSTILE[:80]}",
        "commander",
        troubles,
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
    )
    folder = Path(os.environ.get("RUNBOOKS_SCREENSHOTS") or tmp_path)
    for name, path in {**VIEWS, "status": "/status/"}.items():
        await page.goto(f"{served.base_url}{path or f'/run?id={handle.id}'}")
        if name == "run":
            await expect(page.locator("#picture img").first).to_be_visible()
        await page.screenshot(path=folder / f"page-{name}-{width}-{scheme}.png", full_page=True)
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is wider than the screen by {wide}"
        await finds_nothing(page)
    await handle.terminate("the test has seen enough")
    assert troubles == []


async def test_an_incident_and_a_pause_as_the_docs_show_them(browser: Browser, served: Served, tmp_path: Path) -> None:  # noqa: F811
    folder = PICTURES if os.environ.get("RUNBOOKS_SCREENSHOTS") else tmp_path
    served.world.cure("rollback")
    pause = await begin(served.client, served.queue, EmergencyScaleUpRequest(), "emergency_scale_up")
    await until(pause, lambda status: status.phase == "Autoscaler paused")
    served.world.bad_release()
    incident = await begin(served.client, served.queue, P1Request(title="The API answers with errors"), "p1_incident")
    await until(incident, lambda now: bool(now.questions))
    look: dict[str, Any] = {"viewport": {"width": 1100, "height": 760}, "device_scale_factor": 1.5}
    page = await entered(browser, served, "ada", "commander", [], **look)
    await expect(page.locator("main")).to_contain_text("The API answers with errors")
    await page.screenshot(path=folder / "page-now.png")
    await page.goto(f"{served.base_url}/run?id={incident.id}")
    await expect(page.locator("#picture img").first).to_be_visible()
    await expect(page.get_by_role("button", name="rollback")).to_be_visible()
    await page.screenshot(path=folder / "page-run.png")
    for each in (pause, incident):
        await each.terminate("the pictures are made")


async def test_times_are_the_viewers_with_utc_beside(browser: Browser, served: Served) -> None:  # noqa: F811
    handle = await begin(served.client, served.queue, P1Request(), "p1_incident")
    await until(handle, lambda now: bool(now.entries))
    page = await entered(browser, served, "ada", "commander", [])
    await page.goto(f"{served.base_url}/run?id={handle.id}")
    # Around midnight in Berlin it is another day in UTC, which is told then.
    told = re.compile(r"^\d\d:\d\d \((\d{4}-\d\d-\d\d )?\d\d:\d\d UTC\)$")
    await expect(page.locator(".timeline time").first).to_have_text(told)
    await handle.terminate("the test has seen enough")
