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
from starters.http import serving


async def _slow(request: Request) -> Response:
    body = await request.body()
    return JSONResponse(len(body))


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(serving.BoundedProtocol, "headers_within", timedelta(seconds=0.5))
    monkeypatch.setattr(serving.BoundedProtocol, "most_connections", 5)
    app = Starlette(routes=[Route("/", _slow, methods=["POST", "GET"])])
    server = serving.server(app, host=LOOPBACK, port=0, log_config=None, lifespan="off", timeout_keep_alive=2)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(10)


def closed_after(connection: socket.socket, *pieces: bytes, every: float = 0.1) -> float:
    """Send pieces, and tell how long it takes until the other side hangs up."""
    began = time.monotonic()
    connection.settimeout(every)
    waiting = list(pieces)
    while time.monotonic() - began < 10:
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


def test_who_says_nothing_is_closed(port: int) -> None:
    with socket.create_connection((LOOPBACK, port)) as connection:
        assert 0.3 < closed_after(connection) < 3


def test_a_head_that_trickles_is_closed(port: int) -> None:
    trickle = [b"POST / HTTP/1.1\r\n", *(f"X-{number}: y\r\n".encode() for number in range(90))]
    with socket.create_connection((LOOPBACK, port)) as connection:
        assert 0.3 < closed_after(connection, *trickle) < 3


def test_the_second_head_of_a_connection_may_not_trickle_either(port: int) -> None:
    first = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    trickle = [b"POST / HTTP/1.1\r\n", *(f"X-{number}: y\r\n".encode() for number in range(90))]
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(first)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert 0.3 < closed_after(connection, *trickle) < 3


def test_a_body_may_take_longer_than_a_head(port: int) -> None:
    with socket.create_connection((LOOPBACK, port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        for _ in range(4):
            time.sleep(0.3)
            connection.sendall(b"x")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_nobody_has_all_connections(port: int) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection((LOOPBACK, port))) for _ in range(20)]
        time.sleep(0.2)
        over = 0
        for connection in silent:
            connection.settimeout(0.05)
            try:
                over += connection.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                over += 1
        assert over == 15
        time.sleep(0.6)
        assert httpx.get(f"http://{LOOPBACK}:{port}/", trust_env=False).status_code == httpx.codes.OK
