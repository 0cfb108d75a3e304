"""Connections that say nothing, or say it slowly, are closed, and nobody can have them all."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.ports import LOOPBACK
from sandbox.probes import wait_until
from starters.http import serving

SOON = 120
"""Seconds: half a second on a free machine, and five minutes where nobody closes it."""


async def _slow(request: Request) -> Response:
    body = await request.body()
    return JSONResponse(len(body))


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(serving.BoundedProtocol, "headers_within", timedelta(minutes=5))
    monkeypatch.setattr(serving.BoundedProtocol, "most_connections", 5)
    app = Starlette(routes=[Route("/", _slow, methods=["POST", "GET"])])
    server = serving.server(app, host=LOOPBACK, port=0, log_config=None, lifespan="off", timeout_keep_alive=2)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(60)


@pytest.fixture
def impatient(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asks for the port, which sets it otherwise, to come after it."""
    monkeypatch.setattr(serving.BoundedProtocol, "headers_within", timedelta(seconds=0.5))


def closed_after(connection: socket.socket, *pieces: bytes, every: float = 0.1) -> float:
    """Send pieces, and tell how long it takes until the other side hangs up."""
    began = time.monotonic()
    connection.settimeout(every)
    waiting = list(pieces)
    while time.monotonic() - began < 240:
        if waiting:
            with contextlib.suppress(OSError):
                connection.sendall(waiting.pop(0))
        try:
            if connection.recv(65536) == b"":
                return time.monotonic() - began
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - began
    pytest.fail("never closed")


@pytest.mark.usefixtures("impatient")
def test_who_says_nothing_is_closed(port: int) -> None:
    with socket.create_connection((LOOPBACK, port)) as connection:
        assert 0.3 < closed_after(connection) < SOON


@pytest.mark.usefixtures("impatient")
def test_a_head_that_trickles_is_closed(port: int) -> None:
    trickle = [b"POST / HTTP/1.1\r\n", *(f"X-{number}: y\r\n".encode() for number in range(3000))]
    with socket.create_connection((LOOPBACK, port)) as connection:
        assert 0.3 < closed_after(connection, *trickle) < SOON


def test_the_second_head_of_a_connection_may_not_trickle_either(port: int, request: pytest.FixtureRequest) -> None:
    first = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    trickle = [b"POST / HTTP/1.1\r\n", *(f"X-{number}: y\r\n".encode() for number in range(3000))]
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(first)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        request.getfixturevalue("impatient")
        assert 0.3 < closed_after(connection, *trickle) < SOON


def test_a_body_may_take_longer_than_a_head(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.BoundedProtocol, "headers_within", timedelta(seconds=3))
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            time.sleep(1)
            connection.sendall(b"x")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def over(connections: list[socket.socket]) -> int:
    """Count those that the other side has closed."""
    closed = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            closed += connection.recv(1) == b""
        except BlockingIOError:
            continue
        except OSError:
            closed += 1
    return closed


def test_nobody_has_all_connections(port: int) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((LOOPBACK, port))) for _ in range(20)]
        wait_until(lambda: over(silent) >= 15)
        time.sleep(0.2)
        assert over(silent) == 15

    def answered() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{LOOPBACK}:{port}/", trust_env=False).status_code == httpx.codes.OK
        return False

    wait_until(answered)


def answer_to(connection: socket.socket, ends: bytes = b"") -> bytes:
    """Read until the end, else until the other side hangs up, as it does after two seconds without another request."""
    connection.settimeout(240)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while not (ends and answer.endswith(ends)) and (part := connection.recv(65536)):
            answer += part
    return answer


LONG = serving.MOST_HEAD + 5 * 65536
"""More than counts, whatever one read brings."""


@pytest.mark.parametrize(
    "begins",
    [
        pytest.param(b"POST / HTTP/1.1\r\nX: ", id="header"),
        pytest.param(b"POST /", id="address"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;x=", id="chunk extension"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ", id="trailer"
        ),
    ],
)
def test_what_is_around_a_body_has_an_end(port: int, begins: bytes) -> None:
    sent = 0
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        connection.sendall(begins)
        connection.setblocking(False)
        until = time.monotonic() + 240
        while sent < LONG and time.monotonic() < until:
            try:
                sent += connection.send(b"y" * 1024)
            except BlockingIOError:
                time.sleep(0.01)
            except ConnectionError:
                break
            time.sleep(0.001)  # so that one read brings little
        assert sent < LONG / 2


def test_the_answer_to_a_head_that_is_too_long_says_so(port: int) -> None:
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nX: " + b"y" * serving.MOST_HEAD)
        answer = answer_to(connection, b"too long.")
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.endswith(b"too long.")


def test_a_head_as_long_as_senders_have_is_taken(port: int) -> None:
    lines = b"".join(f"X-{number}: {'y' * 100}\r\n".encode() for number in range(100))
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + lines)
        time.sleep(0.1)
        connection.sendall(b"Content-Length: 4\r\n\r\nbody")
        assert answer_to(connection).startswith(b"HTTP/1.1 200")


def test_few_requests_may_wait_for_an_earlier_one(port: int) -> None:
    request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(request * 10)
        assert answer_to(connection).count(b"HTTP/1.1 200") == 10
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(request * 1000)
        assert answer_to(connection).count(b"HTTP/1.1 200") <= serving.MOST_AHEAD + 1


@pytest.mark.parametrize("length", [b"Content-Length: 4", b"Transfer-Encoding: chunked"])
def test_a_body_comes_whole_from_a_sender_that_offers_http_2(port: int, length: bytes) -> None:
    """As Java's own client does with each first request."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
    parts = (b"2\r\nbo\r\n", b"2\r\ndy\r\n0\r\n\r\n") if b"chunked" in length else (b"bo", b"dy")
    with socket.create_connection((LOOPBACK, port)) as connection:
        for _ in range(2):
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + offer + length + b"\r\n\r\n" + parts[0])
            time.sleep(0.05)
            connection.sendall(parts[1])
        answer = answer_to(connection)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(b"\r\n\r\n4") == 2


@pytest.mark.parametrize(
    "head", [b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"POST \xff / HTTP/1.1\r\n\r\n", b"\0\r\n\r\n"]
)
def test_what_is_no_request_to_this_server_is_refused(port: int, head: bytes) -> None:
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(head)
        assert answer_to(connection).startswith(b"HTTP/1.1 400")
