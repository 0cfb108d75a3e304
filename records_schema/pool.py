"""The pool of connections to the records, which fails soon where PostgreSQL doesn't answer.

A dead, hung or unreachable server costs a caller at most about two seconds, whatever it was doing; the pool itself
starts without a server, and finds it again by itself when it comes back.
"""

from psycopg import Connection, OperationalError
from psycopg.abc import RV, PQGen
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool
from pydantic import SecretStr

from records_schema.server import conninfo

ANSWER_WITHIN = 2.0
"""Seconds that one exchange with the server may take."""

# The server gives up a little earlier than we do, so that an honest "too slow" is the common case.
_SERVER_SETTINGS = (
    "-c statement_timeout=1800ms -c lock_timeout=1500ms -c idle_in_transaction_session_timeout=10s -c timezone=UTC"
)


class BoundedConnection(Connection[TupleRow]):
    """A connection that waits for no answer longer than `ANSWER_WITHIN`.

    The server's own timeouts can't help where the server is frozen or the network swallows packets.
    """

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait as psycopg does, but not for ever; what is late leaves the connection closed."""
        try:
            return super().wait(gen, interval, ANSWER_WITHIN if timeout is None else timeout)
        except OperationalError:
            if not self.closed and self.info.transaction_status.name == "ACTIVE":
                self.pgconn.finish()
            raise


def connect_pool(
    url: SecretStr | str, *, max_size: int = 10, name: str = "records"
) -> ConnectionPool[BoundedConnection]:
    """Open a pool without waiting for the server; close it, or use it as a context manager.

    Connections are in autocommit mode: use `connection.transaction()`.

    Raises:
        DatabaseError: the URL is not a PostgreSQL URL; says so without repeating it.

    """
    parts = conninfo(url)
    parts["options"] = f"{parts.get('options') or ''} {_SERVER_SETTINGS}".strip()
    parts.setdefault("application_name", "runbooks")
    parts.setdefault("connect_timeout", 2)
    parts.setdefault("tcp_user_timeout", 2000)
    return ConnectionPool(
        kwargs={**parts, "autocommit": True},
        connection_class=BoundedConnection,
        min_size=1,
        max_size=max_size,
        timeout=ANSWER_WITHIN,
        # Give up soon on each attempt to connect: the next caller starts a fresh one, so that the pool is back as
        # soon as the server is, and not when a long backoff happens to end.
        reconnect_timeout=ANSWER_WITHIN,
        check=_check,
        name=name,
        open=True,
    )


def _check(connection: BoundedConnection) -> None:
    """Find out before a caller does that the server has restarted since, and then renew all connections."""
    try:
        ConnectionPool.check_connection(connection)
    except OperationalError:
        pool = connection._pool  # noqa: SLF001 # the pool offers its checks no other way to itself
        if isinstance(pool, ConnectionPool):
            pool.drain()
        raise
