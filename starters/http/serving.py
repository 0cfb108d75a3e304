"""How our HTTP servers listen: nobody may keep a connection open for nothing, nor all of them.

uvicorn has no limit for the time in which a request's head must come, and counts a connection that says nothing as one
that works.
"""

import asyncio
from datetime import timedelta
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADERS_WITHIN = timedelta(seconds=10)
MOST_CONNECTIONS = 1000
"""Of one process: a third of what a usual limit of open files leaves."""

_log = structlog.get_logger(__name__)


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 whose head must come in time, on so many connections at most."""

    headers_within = HEADERS_WITHIN
    most_connections = MOST_CONNECTIONS
    _timer: asyncio.TimerHandle | None = None

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
        super().data_received(data)
        if not self._between_requests:
            self._stop()
        elif self._timer is None:
            self._wait()

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
