"""A PostgreSQL of the test's own, which it may stop, freeze and restart; the session's shared one must stay up."""

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import records_schema
from sandbox.postgres import Postgres


class OwnPostgres:
    """Not started yet; its URL is known already."""

    def __init__(self, directory: Path) -> None:
        self._server = Postgres(directory)

    def url(self) -> str:
        return self._server.url()

    @property
    def password(self) -> str:
        return urlsplit(self.url()).password or ""

    @property
    def running(self) -> bool:
        return any(process.pid is not None for process in self._server.processes)

    def create_database(self) -> str:
        return self._server.create_database(f"test_{secrets.token_hex(6)}")

    def start(self) -> None:
        if self._server.processes:
            self._server.restart()
        else:
            self._server.start()
            self._server.wait_ready()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT disconnects clients; SIGQUIT is a crash that needs recovery. Data stays."""
        (process,) = self._server.processes
        process.stop_signal = how
        process.stop()

    def freeze(self) -> list[int]:
        """Keep the server from answering without closing anything, as a hung machine does."""
        (process,) = self._server.processes
        assert process.pid is not None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        frozen = [process.pid, *map(int, children)]
        for each in frozen:
            os.kill(each, signal.SIGSTOP)
        return frozen

    def thaw(self, frozen: list[int]) -> None:
        for process in frozen:
            os.kill(process, signal.SIGCONT)

    def remove(self) -> None:
        self._server.remove()


@contextmanager
def migrated(directory: Path) -> Iterator[OwnPostgres]:
    """Give one that runs, with the records' tables; gone in the end."""
    own = OwnPostgres(directory)
    try:
        own.start()
        records_schema.migrate(own.url())
        yield own
    finally:
        own.remove()
