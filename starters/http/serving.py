"""How our HTTP servers listen: nobody may keep a connection open for nothing, nor all of them.

uvicorn has no limit for the time in which a request's head must come, and counts a connection that says nothing as one
that works. Its parser in C (httptools, on Node's llhttp) is much cheaper than h11. It bounds neither the bytes of a
head nor how many requests lie ahead, and loses a body whose sender offers another protocol: that is mended here too.
"""

import asyncio
from datetime import timedelta
from typing import Any

import httptools
import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADERS_WITHIN = timedelta(seconds=10)
MOST_CONNECTIONS = 1000
"""Of one process: a third of what a usual limit of open files leaves."""
MOST_HEAD = 16_384
"""Bytes that may come, beyond one read of the socket, without a request having its head or a part of its body: what
h11 takes, and nginx and Apache by default."""
MOST_AHEAD = 16
"""Requests that may wait on a connection while an earlier one is answered: no sender of ours sends any so."""

_log = structlog.get_logger(__name__)


class _Parser(httptools.HttpRequestParser):
    """Declines every offer of another protocol, by taking it as not made (RFC 9110, 7.8).

    httptools ends where a head offers one, and takes the body for that protocol's. Java's own client offers HTTP/2 with
    each first request of a connection.
    """

    def __init__(self, protocol: "BoundedProtocol") -> None:
        super().__init__(protocol)
        self._protocol = protocol

    def feed_data(self, data: Any) -> None:
        """Read on.

        Raises:
            HttpParserError: what comes is no HTTP/1.1.

        """
        while True:
            try:
                super().feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                data = self._declined() + bytes(data[offer.args[0] :])
            else:
                return

    def _declined(self) -> bytes:
        method, protocol = self.get_method(), self._protocol
        if method == b"CONNECT":
            raise httptools.HttpParserError("nothing is reached through this server")
        lines = [name + b": " + value for name, value in protocol.headers if name != b"upgrade"]
        return b"\r\n".join([method + b" " + protocol.url + b" HTTP/1.1", *lines, b"", b""])


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose head must come in time, and isn't too long, on so many connections at most."""

    headers_within = HEADERS_WITHIN
    most_connections = MOST_CONNECTIONS
    most_head = MOST_HEAD
    most_ahead = MOST_AHEAD
    _timer: asyncio.TimerHandle | None = None
    _unread = 0
    """Bytes since the last that were understood: of a head, of a chunk's, or of trailers, which is not complete."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parser = _Parser(self)
        # As uvicorn does: the last request of a connection may be followed by anything.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            _log.warning("too many connections: one was closed", most=self.most_connections)
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the time runs from a head's first byte to its last."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > self.most_head and not self.transport.is_closing():
            self.send_400_response("What is around the body is too long.")
        if not self._between_requests:
            self._stop()
        elif self._timer is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Take a head, unless too many wait before it: each would be kept, however small it is.

        Raises:
            OverflowError: to the parser, which then refuses what comes.

        """
        self._unread = 0
        if self.parser.should_upgrade():  # its parser comes again, with the same head
            return
        if len(self.pipeline) >= self.most_ahead:
            raise OverflowError("too many requests ahead")
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take a body's end."""
        self._unread = 0
        if not self.parser.should_upgrade():
            super().on_message_complete()

    @property
    def _between_requests(self) -> bool:
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.headers_within.total_seconds(), self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        self._timer = None
        if self._between_requests and not self.transport.is_closing():
            self.transport.abort()


def server(app: Any, *, host: str, port: int, **options: Any) -> uvicorn.Server:
    """Give a server of an application; `options` are uvicorn's."""
    return uvicorn.Server(uvicorn.Config(app, host=host, port=port, http=BoundedProtocol, access_log=False, **options))
