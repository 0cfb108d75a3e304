"""A real browser, and tabs of it that wait as long as a busy machine may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

from sandbox.browser import OPTIONS, ensure

WITHIN = 120_000
"""Milliseconds. Whoever expects something of a page waits no less."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    expect.set_options(timeout=WITHIN)
    async with async_playwright() as playwright:
        program = await asyncio.to_thread(ensure)
        launched = await playwright.chromium.launch(executable_path=str(program), args=list(OPTIONS), timeout=WITHIN)
        yield launched
        await launched.close()


async def new_tab(browser: Browser, **options: Any) -> Page:
    """Open a page for somebody whom the browser doesn't know yet; further ones are of its `context`."""
    context = await browser.new_context(**options)
    context.set_default_timeout(WITHIN)
    return await context.new_page()
