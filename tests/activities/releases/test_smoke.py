"""Smoke tests over HTTP, against a real server."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from kubernetes import client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.catalogue.smoke import SmokeCheck
from activities.releases.smoke import Smoke, SmokeChecks, SmokeResult
from tests.activities.contracts.serving import Misbehaviour, serving


class Release:
    """Answers in turn with what `answers` gives, the last one over and over."""

    def __init__(self) -> None:
        self.answers: list[Callable[[], Response]] = [lambda: JSONResponse({"status": "ok"})]
        self.asked: list[str] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "HEAD", "POST"])])
        self.url = ""

    async def _answer(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.url.path}")
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()


@pytest.fixture
def faults() -> Misbehaviour:
    return Misbehaviour()


@pytest.fixture
def release(faults: Misbehaviour) -> Iterator[Release]:
    one = Release()
    with serving(one.app, faults) as url:
        one.url = f"{url}/v1/models"
        yield one


@pytest.fixture
def smoke() -> Iterator[Smoke]:
    with httpx.Client(trust_env=False) as http:
        yield Smoke(http, client.ApiClient(client.Configuration()))


def run(smoke: Smoke, *checks: SmokeCheck) -> SmokeResult:
    return ActivityEnvironment().run(smoke.http, SmokeChecks(checks=list(checks)))


def check(release: Release, **more: Any) -> SmokeCheck:
    return SmokeCheck(name="models", url=release.url, **more)


def test_checks_that_pass_are_made_once(smoke: Smoke, release: Release) -> None:
    found = run(smoke, check(release), check(release, method="HEAD"), check(release, method="POST", contains='"ok"'))
    assert (found.ok, str(found)) == (True, "3 passed")
    assert release.asked == ["GET /v1/models", "HEAD /v1/models", "POST /v1/models"]


def test_no_checks_pass(smoke: Smoke) -> None:
    assert run(smoke) == SmokeResult(passed=0, failures=[])


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_check_may_fail_twice(smoke: Smoke, release: Release, failures: int) -> None:
    fine = release.answers[0]
    release.answers = [*[lambda: PlainTextResponse("not yet", 503)] * failures, fine]
    assert run(smoke, check(release)).ok
    assert len(release.asked) == failures + 1


def test_a_failure_says_which_check_and_what_came_and_never_the_body(smoke: Smoke, release: Release) -> None:
    release.answers = [lambda: PlainTextResponse("secret-body", 503)]
    found = run(
        smoke, check(release), check(release, expect_status=503, contains="ready"), check(release, expect_status=503)
    )
    assert not found.ok
    assert found.failures == [
        "models: expected HTTP 200, got HTTP 503",
        "models: expected 'ready' in the body, got 11 characters without it",
    ]
    assert len(release.asked) == 7
    assert str(found).startswith("1 passed; models: expected")


def test_a_redirect_is_an_answer(smoke: Smoke, release: Release) -> None:
    release.answers = [lambda: RedirectResponse("/elsewhere", 302)]
    assert run(smoke, check(release, expect_status=302)).ok
    assert run(smoke, check(release)).failures == ["models: expected HTTP 200, got HTTP 302"]


def test_text_beyond_the_first_mebibyte_is_not_seen(smoke: Smoke, release: Release) -> None:
    release.answers = [lambda: PlainTextResponse("x" * 1024 * 1024 + "needle")]
    found = run(smoke, check(release, contains="needle"))
    assert found.failures == ["models: expected 'needle' in the body, got 1048576 characters without it"]


def test_text_is_read_in_the_answers_own_encoding(smoke: Smoke, release: Release) -> None:
    release.answers = [
        lambda: Response("grün".encode("latin-1"), headers={"content-type": "text/plain; charset=latin-1"})
    ]
    assert run(smoke, check(release, contains="grün")).ok
    release.answers = [lambda: Response(b"\xff\xfeok", headers={"content-type": "text/plain; charset=nonsense"})]
    assert run(smoke, check(release, contains="ok")).ok


def test_an_answer_that_never_ends_is_no_answer(smoke: Smoke, release: Release) -> None:
    async def dripping() -> AsyncIterator[bytes]:
        for _ in range(1200):
            yield b"x"
            await asyncio.sleep(0.05)

    release.answers = [lambda: StreamingResponse(dripping())]
    began = time.monotonic()
    found = run(smoke, check(release, timeout=timedelta(seconds=0.3)))
    assert found.failures == ["models: expected HTTP 200, got no answer in 0.3 s"]
    assert time.monotonic() - began < 30, "the body would take a minute"


def test_nobody_there_and_what_is_no_url(smoke: Smoke) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = run(
        smoke,
        SmokeCheck(name="away", url=f"http://user:hunter2@127.0.0.1:{port}/"),
        SmokeCheck(name="odd", url="http://release:port/"),
    )
    assert found.failures == [
        "away: expected HTTP 200, got ConnectError",
        "odd: expected HTTP 200, got InvalidURL",
    ]


def test_a_lost_answer_is_tried_again(smoke: Smoke, release: Release, faults: Misbehaviour) -> None:
    faults.lose_answer("/models")
    assert run(smoke, check(release)).ok
    assert len(release.asked) == 2


def test_it_can_be_cancelled_between_two_tries(smoke: Smoke, release: Release) -> None:
    release.answers = [lambda: PlainTextResponse("", 500)]
    environment = ActivityEnvironment()
    threading.Timer(0.7, environment.cancel).start()
    with pytest.raises(CancelledError):
        environment.run(smoke.http, SmokeChecks(checks=[check(release)] * 20))
    assert len(release.asked) < 10
