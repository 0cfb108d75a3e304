"""One piece of work for each of many relations, on several connections, heartbeating, within a time.

Results come in the order of the items, so that "done up to here" is all that an attempt that follows needs to know.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from datetime import timedelta
from types import TracebackType
from typing import Self, TypeVar

from activities.common.heartbeat import Progress, beat, pause
from activities.database.servers.servers import Connection, Databases, OnServer
from libraries import psycopg

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_LOOK_EVERY = 0.1
_BEAT_EVERY = 0.5


class SideBySide:
    """A few connections to one server, each with one statement at a time; for one round of work."""

    def __init__(self, databases: Databases, at: OnServer, connections: int) -> None:
        self._databases = databases
        self._at = at
        self._count = connections
        self._stack = ExitStack()
        self._all: list[Connection] = []
        self._idle: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._over = threading.Event()
        self._beaten = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for _ in range(self._count):
                connection = stack.enter_context(self._databases.connect(self._at, statement_timeout=None))
                self._all.append(connection)
                self._idle.put(connection)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        # With the error, which the connections' own contexts turn into one of ours.
        return self._stack.__exit__(kind, error, trace)

    def over(
        self,
        items: Sequence[_Item],
        work: Callable[[Connection, _Item], _Result],
        progress: Progress,
        *,
        within: timedelta,
    ) -> Iterator[tuple[_Item, _Result]]:
        """Give each item with what the work found, in their order; ends early where the time is up.

        Raises:
            CancelledError: the activity was cancelled; statements that run are cancelled as well.
            Unavailable: the server is gone, or this worker is shutting down.

        """
        deadline = time.monotonic() + within.total_seconds()

        def one(item: _Item) -> list[_Result]:
            connection = self._idle.get()
            try:
                return [] if self._over.is_set() else [work(connection, item)]
            finally:
                self._idle.put(connection)

        with ThreadPoolExecutor(self._count, "side-by-side") as threads:
            futures = [threads.submit(one, item) for item in items]
            try:
                for item, future in zip(items, futures, strict=True):
                    if not self._done(future, progress, deadline):
                        return
                    for result in future.result():
                        yield item, result
            finally:
                self._stop(futures)

    def _done(self, future: Future[list[_Result]], progress: Progress, deadline: float) -> bool:
        """Wait for one, heartbeating; False where the time is up before."""
        while True:
            pause(0)
            if time.monotonic() - self._beaten > _BEAT_EVERY:
                beat(progress)
                self._beaten = time.monotonic()
            left = deadline - time.monotonic()
            if wait([future], timeout=max(min(left, _LOOK_EVERY), 0)).done:
                return True
            if left <= 0:
                return False

    def _stop(self, futures: Sequence[Future[list[_Result]]]) -> None:
        """End what still runs; nothing does where all is done."""
        self._over.set()
        running = [future for future in futures if not future.cancel()]
        while wait(running, timeout=0).not_done:
            for connection in self._all:
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=2)
            wait(running, timeout=_LOOK_EVERY)
