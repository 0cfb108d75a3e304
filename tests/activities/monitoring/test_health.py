"""Health checks of real HTTP servers."""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.monitoring.health import Health, HealthChecks, HealthRequest, SteadyRequest
from tests.activities.common.own_clock import OwnClock
from tests.activities.contracts.serving import Misbehaviour, serving


class Service:
    """Answers with what `answer` gives."""

    def __init__(self) -> None:
        self.answer: Callable[[], Response] = lambda: JSONResponse({"status": "healthy"})
        self.asked = 0
        self.app = Starlette(routes=[Route("/{path:path}", self._health)])
        self.url = ""

    async def _health(self, request: Request) -> Response:
        if request.url.path != "/health":
            return JSONResponse({"status": "healthy"})
        self.asked += 1
        return self.answer()


@pytest.fixture(scope="module")
def serving_service() -> Iterator[Service]:
    service = Service()
    with serving(service.app, Misbehaviour()) as url:
        service.url = f"{url}/health"
        yield service


@pytest.fixture
def service(serving_service: Service) -> Service:
    serving_service.answer = lambda: JSONResponse({"status": "healthy"})
    serving_service.asked = 0
    return serving_service


@pytest.fixture(scope="module")
def checks() -> Iterator[HealthChecks]:
    with httpx.Client(trust_env=False) as http:
        yield HealthChecks(http)


@pytest.mark.parametrize(
    ("body", "code", "expected"),
    [
        ({"status": "healthy", "version": "v1.2.3"}, 200, ("healthy", "v1.2.3", "")),
        ({"status": "ok"}, 200, ("healthy", None, "")),
        ({"status": "GREEN"}, 200, ("healthy", None, "")),
        ({"status": "degraded", "version": 7}, 200, ("degraded", "7", "says 'degraded'")),
        ({"status": "yellow"}, 207, ("degraded", None, "says 'yellow'")),
        ({"status": "red"}, 200, ("unhealthy", None, "says 'red'")),
        ({"status": "healthy"}, 503, ("unhealthy", None, "says 'healthy'")),
        ({"status": "unhealthy", "version": "v1"}, 500, ("unhealthy", "v1", "says 'unhealthy'")),
        ({"status": None}, 200, ("healthy", None, "the answer has no JSON status")),
        (["healthy"], 200, ("healthy", None, "the answer has no JSON status")),
        ({}, 404, ("unhealthy", None, "")),
    ],
)
def test_what_an_answer_means(checks: HealthChecks, service: Service, body: Any, code: int, expected: Any):
    service.answer = lambda: JSONResponse(body, code)
    health = checks.check(HealthRequest(url=service.url))
    assert (health.status, health.version, health.detail) == expected
    assert health.http_status == code
    assert 0 < health.milliseconds < 2000


def test_text_is_healthy_with_a_remark(checks: HealthChecks, service: Service):
    service.answer = lambda: PlainTextResponse("OK")
    assert str(checks.check(HealthRequest(url=service.url))).endswith(" ms, the answer has no JSON status")


def test_a_redirect_is_not_followed(checks: HealthChecks, service: Service):
    service.answer = lambda: RedirectResponse(service.url.replace("/health", "/elsewhere"))
    health = checks.check(HealthRequest(url=service.url))
    assert (health.status, health.http_status) == ("unhealthy", 307)
    assert "redirect" in health.detail


def test_a_long_body_is_not_read_to_its_end(checks: HealthChecks, service: Service):
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(2000):
            sent += 65536
            yield b"x" * 65536
            await asyncio.sleep(0.001)

    service.answer = lambda: StreamingResponse(endless())
    assert checks.check(HealthRequest(url=service.url)).status == "healthy"
    assert sent < 64 * 1024 * 1024


def test_a_dripping_body_is_waited_for_no_longer_than_the_timeout(checks: HealthChecks, service: Service):
    async def dripping() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.1)

    service.answer = lambda: StreamingResponse(dripping())
    health = checks.check(HealthRequest(url=service.url, timeout=timedelta(seconds=0.3)))
    assert (health.status, health.detail) == ("unreachable", "no answer in 0.3 s")
    assert health.milliseconds < 8_000, "the body would take ten seconds"


def test_nobody_there(checks: HealthChecks):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    health = checks.check(HealthRequest(url=f"http://127.0.0.1:{port}/health"))
    assert (health.status, health.http_status, health.detail) == ("unreachable", None, "ConnectError")


def test_silence(checks: HealthChecks):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/health"
        health = checks.check(HealthRequest(url=url, timeout=timedelta(seconds=0.2)))
        assert (health.status, health.detail) == ("unreachable", "no answer in 0.2 s")
        health = HealthChecks(httpx.Client(), timedelta(seconds=0.1)).check(HealthRequest(url=url))
    assert (health.status, health.detail) == ("unreachable", "no answer in 0.1 s")


@pytest.mark.parametrize("url", ["http://", "nonsense", "http://[::1", "ftp://x/"])
def test_a_url_that_is_none(checks: HealthChecks, url: str):
    assert checks.check(HealthRequest(url=url)).status == "unreachable"


def test_whatever_it_says_it_is_judged(checks: HealthChecks, service: Service):
    @given(
        st.binary(max_size=200) | st.text(max_size=50).map(lambda s: f'{{"status": "{s}"}}'.encode("utf-8", "replace"))
    )
    def judged(body: bytes) -> None:
        service.answer = lambda: Response(body, media_type="application/json")
        health = checks.check(HealthRequest(url=service.url))
        assert health.status in {"healthy", "degraded", "unhealthy"}
        assert len(health.detail) < 500
        assert Health.model_validate_json(health.model_dump_json()) == health

    judged()


# -- steady -----------------------------------------------------------------------------------------------


def _steady(service: Service, steady_for: float, give_up_after: float, every: float = 0.05) -> SteadyRequest:
    return SteadyRequest(
        url=service.url,
        steady_for=timedelta(seconds=steady_for),
        give_up_after=timedelta(seconds=give_up_after),
        every=timedelta(seconds=every),
    )


def test_steady(checks: HealthChecks, service: Service, own_clock: OwnClock):
    result = ActivityEnvironment().run(checks.steady, _steady(service, 0.3, 5))
    assert result.steady
    assert result.last.healthy
    assert result.longest == result.seconds == pytest.approx(0.3)
    assert result.checks == service.asked == 7


def test_one_bad_answer_starts_the_stretch_anew(checks: HealthChecks, service: Service, own_clock: OwnClock):
    service.answer = lambda: JSONResponse({"status": "red" if service.asked == 4 else "ok"})
    result = ActivityEnvironment().run(checks.steady, _steady(service, 0.3, 5))
    assert result.steady
    assert result.seconds == pytest.approx(0.5)


def test_never_steady(checks: HealthChecks, service: Service, own_clock: OwnClock):
    service.answer = lambda: JSONResponse({"status": "ok" if service.asked % 3 else "red"})
    result = ActivityEnvironment().run(checks.steady, _steady(service, 0.3, 0.6))
    assert not result.steady
    assert result.seconds == pytest.approx(0.6)
    assert result.longest == pytest.approx(0.05)


def test_steady_for_no_time_is_one_good_answer(checks: HealthChecks, service: Service):
    result = ActivityEnvironment().run(checks.steady, _steady(service, 0, 0))
    assert (result.steady, result.checks) == (True, 1)


def _late(own_clock: OwnClock, seconds: float) -> ActivityEnvironment:
    """Give an attempt that begins so long after the first."""
    environment = ActivityEnvironment()
    details = [{"started_at": own_clock.ago(seconds=seconds), "checks": 90, "longest": 9.0}]
    environment.info = replace(environment.info, heartbeat_details=details)
    return environment


@pytest.mark.parametrize("late", [9.8, 60])
def test_an_attempt_that_begins_late_watches_anew_and_has_the_time_for_it(
    checks: HealthChecks, service: Service, own_clock: OwnClock, late: float
):
    result = _late(own_clock, late).run(checks.steady, _steady(service, 0.5, 10))
    assert result.steady
    assert result.checks == 90 + service.asked
    assert result.longest == 9.0
    assert result.seconds == pytest.approx(late + 0.5)


def test_a_late_attempt_that_finds_it_unhealthy_ends_when_the_time_is_up(
    checks: HealthChecks, service: Service, own_clock: OwnClock
):
    service.answer = lambda: JSONResponse({"status": "red"})
    result = _late(own_clock, 9.8).run(checks.steady, _steady(service, 9.5, 10))
    assert not result.steady
    assert result.seconds == pytest.approx(10, abs=0.1)


def test_watching_is_cancelled_at_once(checks: HealthChecks, service: Service):
    environment = ActivityEnvironment()
    threading.Timer(0.3, environment.cancel).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        environment.run(checks.steady, _steady(service, 600, 600, every=60))
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("over", "host", "says"), [(True, "localhost", "expired"), (False, "elsewhere", "match")], ids=["expired", "name"]
)
def test_a_certificate_that_is_not_accepted_is_told_from_an_outage(
    tmp_path: Path, host: str, says: str, *, over: bool
) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=90))
        .not_valid_after(now + timedelta(days=-1 if over else 1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "served.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake_hands() -> None:
            with suppress(OSError), listening.accept()[0] as asked, tls.wrap_socket(asked, server_side=True):
                pass

        threading.Thread(target=shake_hands, daemon=True).start()
        known = ssl.create_default_context(cafile=file)
        with httpx.Client(trust_env=False, verify=known) as http:
            url = f"https://localhost:{listening.getsockname()[1]}/health"
            health = HealthChecks(http).check(HealthRequest(url=url))
    assert (health.status, health.certificate, health.healthy) == ("unreachable", True, False)
    assert health.detail.startswith("its certificate is not accepted: ")
    assert says in health.detail


def test_a_refused_connection_says_nothing_of_certificates(checks: HealthChecks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    health = checks.check(HealthRequest(url=f"https://127.0.0.1:{port}/health"))
    assert (health.status, health.certificate) == ("unreachable", False)
