"""`runbooks challenge-server`'s pages, where the certificate authority looks for them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from psycopg_pool import ConnectionPool

from starters.servers.challenges import application
from tests.plugins.patience import HANGS


@contextmanager
def challenge_server(pool: ConnectionPool[Any], port: int) -> Iterator[None]:
    server = uvicorn.Server(uvicorn.Config(application(pool), port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + HANGS
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
