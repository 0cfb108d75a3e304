"""A server for as long as somebody needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar


class Server(Protocol):
    """What the sandbox's servers have in common."""

    def start(self) -> None:
        """Start its processes."""

    def wait_ready(self) -> None:
        """Wait until it answers."""

    def stop(self) -> None:
        """Shut down."""


_Server = TypeVar("_Server", bound=Server)


@contextmanager
def ready(server: _Server) -> Iterator[_Server]:
    """Start a server and wait until it is ready; afterwards end it, at once where nobody needs its data any more.

    Raises:
        ServerFailed: it ended or was not ready in time.

    """
    server.start()
    try:
        server.wait_ready()
        yield server
    finally:
        end = getattr(server, "remove", server.stop)
        end()
