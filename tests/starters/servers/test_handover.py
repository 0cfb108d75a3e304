"""One-time links as a customer has them: a real server, a real browser, and what scans mail before."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from playwright.async_api import Browser, Page
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from activities.customers.api_keys import ApiKeys, IssueKey
from activities.handovers.links import HandoverLinks
from sandbox import probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess
from tests.browsers import new_tab
from tests.records_schema.fixtures import effect

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

KEY_ID, HANDOVER_ID = "tsk_aaaaaaaa1", "ho_aaaaaaaa1"


@pytest.fixture
async def server(records_url: str, tmp_path: Path) -> AsyncIterator[str]:
    port = free_port()
    process = ServerProcess(
        name="handover-server",
        directory=tmp_path,
        argv=[sys.executable, "-m", "starters", "handover-server", "--port", str(port)],
        env={"RUNBOOKS_RECORDS__URL": records_url},
    )
    process.start()
    try:
        await asyncio.to_thread(process.wait_ready, probes.tcp(port))
        yield f"http://{LOOPBACK}:{port}"
    finally:
        process.stop()


@pytest.fixture
def link(server: str, records_url: str, records_pool: ConnectionPool[Any]) -> str:
    with psycopg.connect(records_url) as sql:
        sql.execute(
            "INSERT INTO runbooks.tenants (tenant_id, name, tier, email) VALUES ('acme', 'Acme', 'team', 'it@a.test')"
        )
    links = HandoverLinks(SecretStr("a secret of the settings"), server, timedelta(days=7))
    ApiKeys(records_pool, links).issue(
        IssueKey(key_id=KEY_ID, tenant_id="acme", handover_id=HANDOVER_ID, effect=effect("issue"))
    )
    return links.where(HANDOVER_ID)


@pytest.fixture
async def page(browser: Browser, tmp_path: Path) -> AsyncIterator[Page]:
    opened = await new_tab(browser, viewport={"width": 400, "height": 700})
    yield opened
    await opened.screenshot(path=tmp_path / "page.png")


async def test_a_customer_sees_the_key_once_and_it_works(
    link: str, page: Page, records_url: str, tmp_path: Path
) -> None:
    await page.goto(link)
    assert KEY_ID not in await page.content()
    await page.get_by_role("button", name="Show it now").click()
    await page.get_by_text("Store this now").wait_for()
    key = await page.locator("dd").inner_text()
    await page.screenshot(path=tmp_path / "shown.png")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with psycopg.connect(records_url) as sql:
        assert sql.execute("SELECT accepted FROM runbooks.check_api_key(%s)", (key,)).fetchone() == (True,)
    await page.goto(link)
    await page.get_by_text("nothing here").wait_for()
    assert key not in await page.content()


async def test_what_opens_links_on_its_way_uses_nothing_up(link: str) -> None:
    async with httpx.AsyncClient() as http:
        for method in ("GET", "HEAD", "GET"):
            answer = await http.request(method, link)
            assert answer.status_code == HTTPStatus.OK
            assert KEY_ID not in answer.text
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        answers = await asyncio.gather(*(http.post(link) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [HTTPStatus.OK] + [HTTPStatus.GONE] * 5
    assert sum(f"{KEY_ID}." in answer.text for answer in answers) == 1


@pytest.mark.parametrize("token", ["x", "%00", "a" * 5000, "é", "../../etc"])
async def test_other_links_show_nothing(server: str, link: str, token: str) -> None:
    del link
    async with httpx.AsyncClient() as http:
        for method in ("GET", "POST"):
            answer = await http.request(method, f"{server}/handover/{token}")
            assert answer.status_code in {HTTPStatus.GONE, HTTPStatus.NOT_FOUND}


async def test_without_the_records_nothing_is_used_up(tmp_path: Path) -> None:
    port = free_port()
    process = ServerProcess(
        name="handover-server",
        directory=tmp_path,
        argv=[sys.executable, "-m", "starters", "handover-server", "--port", str(port)],
        env={"RUNBOOKS_RECORDS__URL": f"postgresql://nobody@{LOOPBACK}:{free_port()}/none"},
    )
    process.start()
    try:
        await asyncio.to_thread(process.wait_ready, probes.tcp(port))
        async with httpx.AsyncClient(timeout=30) as http:
            answer = await http.post(f"http://{LOOPBACK}:{port}/handover/x")
    finally:
        process.stop()
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert "Nothing was used up" in answer.text
