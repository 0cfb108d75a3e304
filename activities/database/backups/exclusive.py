"""One at a time, whichever worker it is on: a lock in the records that lives as long as the attempt that holds it.

It is a transaction's lock, kept alive by a question now and then. Where its worker dies, the connection goes and the
lock with it; where the whole machine vanishes, PostgreSQL ends the silent transaction after a minute. Records that are
slow for some seconds end nobody's restore of hours.
"""

import contextlib
import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from activities.common.errors import Conflict, Unavailable, refusing_data, unavailable
from activities.common.heartbeat import pause
from libraries import psycopg

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

_SYSTEM = "the records (PostgreSQL)"
_ASK_EVERY = 5.0
_WAIT = 90.0
"""Seconds that an attempt waits for the one before it, which may be on a machine that is gone."""

_PATIENCE = "-c statement_timeout=20s -c idle_in_transaction_session_timeout=60s"


@contextlib.contextmanager
def exclusive(pool: "ConnectionPool[Any]", lock: str, holder: str) -> Iterator[Callable[[], None]]:
    """Hold a lock, and give a function that raises `Unavailable` where it was lost.

    Raises:
        Conflict: `holder` has had it for a minute and a half.
        Unavailable: the records don't answer.

    """
    try:
        with refusing_data(_SYSTEM), _connect(pool) as connection, connection.transaction():
            _take(connection, lock, holder)
            with _kept(connection) as check:
                yield check
    except psycopg.Error as error:
        unavailable(_SYSTEM, error)


def _connect(pool: "ConnectionPool[Any]") -> "Connection[Any]":
    """Open a connection beside the pool, whose own give up on an answer after two seconds."""
    parts: dict[str, Any] = dict(pool.kwargs) if isinstance(pool.kwargs, dict) else {}
    parts |= {"options": f"{parts.get('options') or ''} {_PATIENCE}".strip(), "tcp_user_timeout": 20_000}
    return psycopg.connect(**parts)


def _take(connection: "Connection[Any]", lock: str, holder: str) -> None:
    deadline = time.monotonic() + _WAIT
    while True:
        row = connection.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", (lock,)).fetchone()
        if row and row[0]:
            return
        if time.monotonic() > deadline:
            raise Conflict(f"{holder} is under way: it is waited for")
        pause(0.5)


@contextlib.contextmanager
def _kept(connection: "Connection[Any]") -> Iterator[Callable[[], None]]:
    over, lost = threading.Event(), threading.Event()

    def keep() -> None:
        while not over.wait(_ASK_EVERY):
            try:
                connection.execute("SELECT 1")
            except psycopg.Error:
                lost.set()
                return

    def check() -> None:
        if lost.is_set():
            raise Unavailable(f"{_SYSTEM} went away, and the lock with it: another attempt does it")

    keeper = threading.Thread(target=contextvars.copy_context().run, args=(keep,), daemon=True)
    keeper.start()
    try:
        yield check
    finally:
        over.set()
        keeper.join()
