"""Serves a contract server on a free port, and lets a test make it misbehave as networks and services do."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.plugins.patience import HANGS


class Misbehaviour:
    """What to do wrong with the next requests whose path ends with a name; each is used up once."""

    def __init__(self) -> None:
        self._answers: list[tuple[str, Response]] = []
        self._losses: list[list[Any]] = []

    def answer_instead(self, path_end: str, response: Response) -> None:
        """Answer the next such request without doing anything."""
        self._answers.append((path_end, response))

    def lose_answer(self, path_end: str, *, after: int = 0) -> None:
        """Do what the next such request asks, let `after` others be, then drop the connection."""
        self._losses.append([path_end, after])

    def taken_answer(self, path: str) -> Response | None:
        for index, (end, response) in enumerate(self._answers):
            if path.endswith(end):
                del self._answers[index]
                return response
        return None

    def taken_loss(self, path: str) -> bool:
        for loss in self._losses:
            if path.endswith(loss[0]):
                loss[1] -= 1
                if loss[1] < 0:
                    self._losses.remove(loss)
                    return True
        return False


@contextmanager
def serving(app: Starlette, misbehaviour: Misbehaviour) -> Iterator[str]:
    """Serve the app until the block ends; gives its base URL."""

    async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        instead = misbehaviour.taken_answer(scope["path"])
        if instead is not None:
            await instead(scope, receive, send)
        elif misbehaviour.taken_loss(scope["path"]):
            await app(scope, receive, _swallow)
            receive.__self__.transport.abort()  # type: ignore[attr-defined] # uvicorn's cycle: as a cut cable does
        else:
            await app(scope, receive, send)

    # asyncio turns Nagle's delay off only where the protocol is spelled out: 40 ms a request otherwise.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(faulty, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + HANGS
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


async def _swallow(message: Any) -> None:
    del message
