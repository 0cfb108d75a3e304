"""The operators' page with 1,000 runs, and one live run that 200 people look at.

First paint is a browser's own figure (First Contentful Paint); its floor is the very same page as a file. The floor of
a list is Temporal's own answer to the same question. The floor of 200 viewers is one. Goals: first paint within 200 ms,
lists and search of 1,000 runs within 300 ms; a run is asked once for all who look at it.
"""

import asyncio
import re
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
from playwright.async_api import Browser, Page, async_playwright
from rich.progress import Progress
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from uvicorn import Config, Server

from bench.harness import Outcome, result
from bench.production import Production, Service
from bench.servers import Servers
from sandbox.browser import OPTIONS, ensure
from sandbox.ports import LOOPBACK, free_port
from workers.clients import connect
from workers.registry import PROCEDURES
from workers.settings import TemporalSettings
from workflows.maintenance.maintenance_window import MaintenanceWindowRequest
from workflows.maintenance.window_tasks import WindowTask
from workflows.platform.search_attributes import INCIDENT, SERVICE, SEVERITY

_SERVICE = "tensafe-server"
_RUNS = 1000
_VIEWERS = 200
_ROUNDS = 9
_NOTES = 5
_STARTED_AT_ONCE = 40
_STARTED_ON = "nobody-works-here"
_LISTED = f"WorkflowType IN ({', '.join(repr(one.workflow_type) for one in PROCEDURES)})"
_SAME = {"Sec-Fetch-Site": "same-origin"}
_QUERIES = re.compile(r'^service_requests\{[^}]*operation="QueryWorkflow"[^}]*\} (\S+)', re.MULTILINE)


async def _open_runs(client: Client) -> None:
    """Start runs as our own starters leave them in visibility; nobody works on them, so they stay as they are."""
    turn = asyncio.Semaphore(_STARTED_AT_ONCE)

    async def one(number: int) -> None:
        procedure = PROCEDURES[number % len(PROCEDURES)]
        attributes = [SearchAttributePair(SERVICE, f"service-{number % 40}"), SearchAttributePair(SEVERITY, "P3")]
        async with turn:
            await client.start_workflow(
                procedure.workflow_type,
                id=f"{procedure.command}/{number}",
                task_queue=_STARTED_ON,
                memo={
                    "runbook": {"section": procedure.section, "title": procedure.title},
                    "said": {"phase": "Working", "count": number},
                    "started_by": "ada (on-call)",
                },
                search_attributes=TypedSearchAttributes(
                    [*attributes, SearchAttributePair(INCIDENT, f"INC-20261130-{number:06}")]
                ),
            )

    await asyncio.gather(*(one(number) for number in range(_RUNS)))

    async def all_there() -> bool:
        return (await client.count_workflows(_LISTED)).count > _RUNS

    await _until(all_there)


async def _until(reached: Callable[[], Awaitable[bool]]) -> None:
    while True:
        if await reached():
            return
        await asyncio.sleep(0.2)


class _Page:
    """The page's process, and somebody who has signed in."""

    def __init__(self, url: str, http: httpx.AsyncClient, csrf: str) -> None:
        self.url, self.http = url, http
        self.headers = {"X-CSRF-Token": csrf, "HX-Request": "true", **_SAME}

    async def get(self, path: str) -> float:
        began = time.perf_counter()
        answer = await self.http.get(path)
        took = time.perf_counter() - began
        answer.raise_for_status()
        return took


@asynccontextmanager
async def _signed_in(production: Production) -> AsyncIterator[_Page]:
    link = await asyncio.to_thread(production.start_page)
    url = link.partition("/sign-in")[0]
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        await http.post(link, headers=_SAME)
        shown = (await http.get("/")).text
        found = re.search(r'name="csrf" value="([^"]+)"', shown)
        assert found is not None, "nobody has signed in"
        yield _Page(url, http, found.group(1))


@asynccontextmanager
async def _as_a_file(page: _Page) -> AsyncIterator[str]:
    """Serve what `/` answers, its styles and scripts, as they are, from memory."""
    paths = ["/", "/static/page.css", "/static/htmx.min.js", "/static/htmx-sse.min.js", "/static/times.js"]
    kept = {path: await page.http.get(path) for path in [*paths, "/static/page.js"]}

    async def answer(request: Request) -> Response:
        found = kept.get(request.url.path)
        if found is None:
            return Response(status_code=204)
        return Response(found.content, media_type=found.headers["content-type"])

    port = free_port()
    server = Server(Config(Starlette(routes=[Route("/{path:path}", answer)]), port=port, log_level="warning"))
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await _until(started)
    yield f"http://{LOOPBACK}:{port}/"
    server.should_exit = True
    await task


_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


async def _painted(tab: Page, url: str) -> float:
    await tab.goto(url, wait_until="load")

    # Not `wait_for_function`, which evaluates text in the page: its policy forbids that.
    async def painted() -> bool:
        return bool(await tab.evaluate(_PAINTED))

    await _until(painted)
    return float(await tab.evaluate(_PAINTED)) / 1000


async def _in_turns(
    ours: Callable[[], Awaitable[float]], floor: Callable[[], Awaitable[float]], rounds: int
) -> tuple[list[float], list[float]]:
    await ours()
    await floor()
    measured: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        sides = [(ours, measured[0]), (floor, measured[1])]
        for side, seconds in sides if number % 2 == 0 else reversed(sides):
            seconds.append(await side())
    return measured


class _Benchmark:
    key = "operators-page"

    async def run(self, servers: Servers, *, rounds: int | None, progress: Progress) -> list[Outcome]:
        """Measure the lists, a browser, and the viewers."""
        nowhere = f"http://{LOOPBACK}:{free_port()}"
        production = Production(
            servers,
            "page",
            {_SERVICE: Service("tensafe", f"{nowhere}/health")},
            kubeconfig=servers.kubeconfig,
            sections={"web": {"port": free_port(), "secret": secrets.token_urlsafe(32)}},
        )
        client = await connect(TemporalSettings(address=servers.temporal.address))
        bar = progress.add_task("the operators' page", total=6)
        await asyncio.to_thread(production.start_worker)
        live = await _live_run(client, production.task_queue)
        await _open_runs(client)
        progress.advance(bar)
        outcomes = []
        async with _signed_in(production) as page:

            async def shows_all() -> bool:
                return (await page.http.get("/now")).text.count('class="row') > _RUNS

            await _until(shows_all)
            outcomes += await self._lists(page, client, rounds or _ROUNDS)
            progress.advance(bar, 2)
            outcomes.append(await self._paint(page, rounds or _ROUNDS))
            progress.advance(bar)
            outcomes.append(await self._viewers(page, servers, live))
            progress.advance(bar, 2)
        return outcomes

    async def _lists(self, page: _Page, client: Client, rounds: int) -> list[Outcome]:
        async def listed() -> float:
            began = time.perf_counter()
            assert len([one async for one in client.list_workflows(_LISTED)]) > _RUNS
            return time.perf_counter() - began

        made = []
        for name, path in (
            ("Now, a list of 1,000 runs", "/now"),
            ("search over 1,000 runs, all found", "/search"),
            ("search over 1,000 runs, all shown", "/search?all=1"),
            ("search over 1,000 runs, one service's", "/search?service=service-7"),
            ("search over 1,000 runs, by a text", "/search?q=INC-20261130-000777"),
        ):
            ours, floor = await _in_turns(lambda path=path: page.get(path), listed, rounds)  # type: ignore[misc]
            made.append(Outcome(result(name, ours, floor, _goal(ours, 0.3))))
        return made

    async def _paint(self, page: _Page, rounds: int) -> Outcome:
        async with async_playwright() as playwright, _as_a_file(page) as file:
            program = await asyncio.to_thread(ensure)
            browser: Browser = await playwright.chromium.launch(executable_path=str(program), args=list(OPTIONS))
            context = await browser.new_context()
            cookies = [{"name": one.name, "value": one.value or "", "url": page.url} for one in page.http.cookies.jar]
            await context.add_cookies(cookies)  # type: ignore[arg-type]
            tab = await context.new_page()
            ours, floor = await _in_turns(lambda: _painted(tab, f"{page.url}/"), lambda: _painted(tab, file), rounds)
            await browser.close()
        return Outcome(result("Now with 1,000 runs → first paint", ours, floor, _goal(ours, 0.2)))

    async def _viewers(self, page: _Page, servers: Servers, live: str) -> Outcome:
        metrics = f"http://{LOOPBACK}:{servers.temporal.metrics_port}/metrics"
        asked: list[float] = []

        async def told(viewers: int) -> list[float]:
            """Have people look, say something, and give the time until the last of them has it, a few times."""
            seen = asyncio.Semaphore(0)
            saying = ""

            async def looks() -> None:
                async with page.http.stream("GET", "/live/run", params={"id": live}) as stream:
                    last = "begun"
                    async for line in stream.aiter_lines():
                        if last == "begun" or (saying and saying != last and saying in line):
                            last = saying
                            seen.release()

            looking = [asyncio.create_task(looks()) for _ in range(viewers)]
            for _ in looking:
                await seen.acquire()
            await asyncio.sleep(2 * 1.0)  # the run is looked at once a second: all have it as it is by then
            took = []
            for number in range(_NOTES):
                saying = f"note {viewers} {number} {secrets.token_hex(4)}"
                before = await _queries(metrics)
                began = time.perf_counter()
                await self._note(page, live, saying)
                for _ in looking:
                    await seen.acquire()
                took.append(time.perf_counter() - began)
                asked.append(await _queries(metrics) - before)
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
            return took

        floor = await told(1)
        asked.clear()
        ours = await told(_VIEWERS)
        remark = f"Temporal was asked for the run's state {statistics.median(asked):.0f} times a note, for all of them"
        return Outcome(result(f"a note → on the pages of {_VIEWERS} viewers, beside 1", ours, floor, remark))

    async def _note(self, page: _Page, live: str, text: str) -> None:
        form = {"workflow_id": live, "word": "note", "f.text": text}
        answer = await page.http.post("/say", data=form, headers=page.headers)
        answer.raise_for_status()


async def _queries(metrics: str) -> float:
    async with httpx.AsyncClient() as http:
        return sum(float(one) for one in _QUERIES.findall((await http.get(metrics)).text))


async def _live_run(client: Client, queue: str) -> str:
    """Begin a run that waits for a day, and takes notes."""
    begins = datetime.now(UTC) + timedelta(days=1)
    request = MaintenanceWindowRequest(
        service=_SERVICE,
        title="Somebody looks",
        starts_at=begins,
        ends_at=begins + timedelta(hours=2),
        tasks=[WindowTask(check="Look")],
    )
    handle = await client.start_workflow("MaintenanceWindow", request, id="maintenance-window/live", task_queue=queue)
    return handle.id


def _goal(seconds: list[float], goal: float) -> str:
    told = "kept" if statistics.median(seconds) <= goal else "missed"
    return f"the goal of {goal * 1000:.0f} ms is {told}"


BENCHMARK = _Benchmark()
