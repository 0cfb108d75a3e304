"""A P1's page in a real browser: nothing is fetched, everything is readable, in the light, the dark and on a phone."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from audit.payloads import Decoder
from audit.reading import read
from audit.render import show
from audit.render.chapters import Told
from tests.browsers import new_tab

HISTORY = Path(__file__).parents[1] / "histories/p1_incident-asked.json"
PICTURE = Path(__file__).parents[2] / "docs/images/audit.png"
"""Written anew where `RUNBOOKS_SCREENSHOTS` is set."""
AA = 4.5
CONTRASTS = """() => {
  const part = c => { const n = c.match(/[\\d.]+/g).map(Number); return n.length > 3 && n[3] === 0 ? null : n };
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.map(v => linear(v / 255)); return .2126 * r + .7152 * g + .0722 * b };
  const behind = e => {
    for (; e; e = e.parentElement) { const c = part(getComputedStyle(e).backgroundColor); if (c) return c }
    return [255, 255, 255] };
  const texts = [...document.querySelectorAll('h1,h2,h3,p,dt,dd,th,td,.badge,svg text')];
  return texts.filter(e => e.textContent.trim()).map(e => {
    const style = getComputedStyle(e), own = part(e.closest('svg') ? style.fill : style.color);
    const [a, b] = [light(own), light(behind(e))].sort((x, y) => y - x);
    return [e.tagName + ' ' + e.textContent.slice(0, 30), (a + .05) / (b + .05)];
  });
}"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    history = json.loads(HISTORY.read_text(encoding="utf-8"))
    run_id = history["events"][0]["workflowExecutionStartedEventAttributes"]["firstExecutionRunId"]
    workflow_id = "p1-incident/tensafe-server"
    story = read(history, namespace="default", workflow_id=workflow_id, run_id=run_id, decoder=Decoder())
    path = tmp_path / "run.html"
    path.write_text(show.html([Told(story)], datetime.now(UTC)), encoding="utf-8")
    return path


async def opened(browser: Browser, document: Path, **options: Any) -> Page:
    page = await new_tab(browser, **options)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "request",
        lambda request: troubles.append(request.url) if not request.url.startswith(("file:", "data:")) else None,
    )
    await page.goto(document.as_uri())
    assert [trouble for trouble in troubles if trouble != document.as_uri() and not trouble.startswith("data:")] == []
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_text_has_enough_contrast(browser: Browser, document: Path, scheme: Any) -> None:
    page = await opened(browser, document, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    contrasts = await page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert [(what, contrast) for what, contrast in contrasts if contrast < AA] == []


async def test_the_chart_is_to_be_seen_and_has_a_name(browser: Browser, document: Path) -> None:
    page = await opened(browser, document, viewport={"width": 1280, "height": 900}, device_scale_factor=1)
    charts = page.get_by_role("img")
    assert await charts.count() >= 1
    assert "38 steps" in str(await charts.first.get_attribute("aria-label"))
    bar = await page.locator('[id$="-question-mitigation-1"]').bounding_box()
    run = await page.locator('[id$="1-run"]').first.bounding_box()
    assert bar is not None
    assert run is not None
    assert bar["width"] > 5
    assert run["x"] <= bar["x"] < bar["x"] + bar["width"] <= run["x"] + run["width"]
    assert await page.get_by_role("columnheader", name="Signature").count() >= 1
    if os.environ.get("RUNBOOKS_SCREENSHOTS"):
        await page.set_viewport_size({"width": 1280, "height": 1750})
        await page.screenshot(path=PICTURE)


async def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, document: Path) -> None:
    page = await opened(browser, document, viewport={"width": 400, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") == 400
    wide = "cells => cells.filter(e => e.getBoundingClientRect().right > 400).length"
    assert await page.locator("tbody td, tbody th, dd").evaluate_all(wide) == 0
    cell = page.get_by_role("cell", name="records.acknowledge_alert").first
    shown = await cell.bounding_box()
    assert shown is not None
    assert shown["width"] > 200, "words aren't broken letter by letter"
