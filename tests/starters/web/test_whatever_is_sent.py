"""Whatever stands in an address or in a form of the page: it is answered in a sentence, and never with a 500."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from temporalio.service import RPCError

from activities.catalogue.service import ApprovalPolicy, IncidentPolicy
from sandbox.temporal import Temporal
from starters.steering.errors import WrongInput
from starters.steering.wording import words_of
from starters.web import forms
from starters.web.pages import SIGNED, left_out
from tests.starters.web.served import Served, keys, serving
from tests.workflows.steering import begin, until
from tests.workflows.worlds.world import World
from workers.registry import PROCEDURES, Procedure
from workflows.incident_response.p1_incident import P1Request

SAME = {"Sec-Fetch-Site": "same-origin", "HX-Request": "true"}
ODD = [
    "",
    "\x00",
    "a\x00b",
    "\x1b[31m",
    "\u202etxet",
    "x" * 3000,
    "9" * 5000,
    "²",
    "-1",
    "' OR 1=1 --",
    '" OR WorkflowId > "',
    "../../etc/passwd",
    "{}",
    "[" * 3000,
    "<script>alert(1)</script>",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "9999-12",
    "0000-00",
    "P999999999D",
    "999999999999 days",
    "1e999",
    "%00",
]
LOOKED_AT = {
    "/run": ("id", "run"),
    "/live/run": ("id", "run"),
    "/pictures": ("id", "run"),
    "/picture.svg": ("id", "run", "part"),
    "/record": ("id", "run"),
    "/past": ("of",),
    "/search": ("q", "service", "procedure", "state"),
    "/archive": ("q", "service", "procedure"),
    "/report": ("month", "zone"),
    "/sign-in": ("next",),
    "/status/": ("service", "month"),
}
SENT = {
    "/answer": ("workflow_id", "run_id", "question", "choice", "subject", "reason", "role"),
    "/say": ("workflow_id", "run_id", "word", "role", "f.text"),
    "/cancel": ("workflow_id", "run_id", "reason", "role"),
}


@pytest.fixture(scope="module")
async def served(own_temporal: Temporal, create_database: Any, records_template: str) -> AsyncIterator[Served]:
    key, public = keys()
    world = World(IncidentPolicy(mitigation="approve"), ApprovalPolicy(public_keys=(public,)))
    world.bad_release()
    async with serving(own_temporal.address, create_database(records_template), world, key) as page:
        yield page


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with served.signed_in() as browser:
        text = (await browser.get("/")).text
        found = re.search(r'X-CSRF-Token": "([0-9a-f]{64})"', text)
        assert found
        browser.headers["X-CSRF-Token"] = found[1]
        yield browser


def answered(answer: httpx.Response, *sent: object) -> None:
    assert answer.status_code < 500, (sent, answer.text[-500:])
    assert "<script>alert(1)" not in answer.text, sent


@pytest.mark.parametrize("path", LOOKED_AT)
async def test_an_address_is_answered(served: Served, http: httpx.AsyncClient, path: str) -> None:
    handle = await begin(served.client, served.queue, P1Request(), "p1_incident")
    await until(handle, lambda now: bool(now.questions))
    for name in LOOKED_AT[path]:
        for odd in ODD[:: 1 if path in {"/picture.svg", "/report", "/search"} else 2]:
            known = {"id": handle.id} if name != "id" and "id" in LOOKED_AT[path] else {}
            async with http.stream("GET", path, params={**known, name: odd}) as answer:
                if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                    await answer.aread()
                    answered(answer, path, name, odd)
                assert answer.status_code < 500, (path, name, odd)
    await handle.terminate("the test has seen enough")


@pytest.mark.parametrize("path", ["/runbook/{}", "/nothing/{}", "/static/{}", "/status/{}", "/{}"])
async def test_a_path_is_answered(http: httpx.AsyncClient, path: str) -> None:
    for odd in ODD:
        answered(await http.get(httpx.URL(http.base_url, raw_path=path.format(_quoted(odd)).encode())), path, odd)


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


@pytest.mark.parametrize("path", SENT)
async def test_a_form_is_answered(served: Served, http: httpx.AsyncClient, path: str) -> None:
    handle = await begin(served.client, served.queue, P1Request(), "p1_incident")
    (question,) = (await until(handle, lambda now: bool(now.questions))).questions
    right = {
        "workflow_id": handle.id,
        "run_id": handle.first_execution_run_id or "",
        "question": question.id,
        "subject": question.subject,
        "choice": "none-of-these",
        "word": "note",
    }
    for name in SENT[path]:
        for odd in ODD:
            if path == "/cancel" and name in {"reason", "role"} and odd.strip():
                continue  # it would be stopped
            answered(await http.post(path, data={**right, name: odd}, headers=SAME), path, name, odd)
    assert (await handle.describe()).status is not None
    assert (await until(handle, lambda now: bool(now.questions))).questions
    await handle.terminate("the test has seen enough")


async def test_what_stops_a_run_is_text_that_can_be_kept(served: Served, http: httpx.AsyncClient) -> None:
    for odd in ("a\x00b", "\x1b[31m", "\u202etxet", "x" * 3000):
        handle = await begin(served.client, served.queue, P1Request(), "p1_incident")
        await until(handle, lambda now: bool(now.questions))
        stopped = {"workflow_id": handle.id, "run_id": handle.first_execution_run_id or "", "reason": odd}
        answered(await http.post("/cancel", data=stopped, headers=SAME), odd)
        events = [event async for event in handle.fetch_history_events()]
        causes = [one.workflow_execution_cancel_requested_event_attributes.cause for one in events]
        assert not any(set(cause) & set("\x00\x1b\u202e") for cause in causes), odd
        with suppress(RPCError):  # it has ended
            await handle.terminate("the test has seen enough")


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
async def test_a_start_form_is_answered(http: httpx.AsyncClient, entry: Procedure) -> None:
    names = [field.name for field in forms.fields(entry.request, leave_out=left_out(entry))]
    for odd in ODD:
        sent = {**{f"f.{name}": odd for name in names}, "f.service": "nobody"}
        answered(await http.post(f"/plan/{entry.command}", data=sent, headers=SAME), entry.command, odd)
    for name in ("request", "plan"):
        for odd in ODD:
            answered(await http.post(f"/start/{entry.command}", data={name: odd}, headers=SAME), name, odd)


@pytest.mark.parametrize("entry", PROCEDURES, ids=lambda entry: entry.name)
def test_a_words_form_is_read_or_refused(entry: Procedure) -> None:
    for word in words_of(entry).values():
        for field in forms.fields(word.kind, leave_out=SIGNED):
            for odd in ODD:
                with suppress(WrongInput):
                    forms.read(word.kind, [(field.name, odd)], leave_out=SIGNED)
