"""Ways to see that a server is ready; each gives a plain yes or no and never raises for a server not yet up."""

import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from sandbox.ports import LOOPBACK

Probe = Callable[[], bool]

_TIMEOUT = 2.0
# Health endpoints of our own children on the loopback address: a proxy of the environment must not come between.
_DIRECT = urllib.request.ProxyHandler({})


def tcp(port: int) -> Probe:
    """Ready once something accepts connections on the port."""

    def probe() -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT):
                return True
        except OSError:
            return False

    return probe


def http(url: str, *, ca: Path | None = None, token: str | None = None) -> Probe:
    """Ready once the URL answers 200; `ca` is the certificate to trust for HTTPS, `token` a bearer token."""
    handlers: list[urllib.request.BaseHandler] = [_DIRECT]
    if ca is not None:
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(ca))))
    opener = urllib.request.build_opener(*handlers)
    if token is not None:
        opener.addheaders.append(("Authorization", f"Bearer {token}"))

    def probe() -> bool:
        try:
            with opener.open(url, timeout=_TIMEOUT) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (urllib.error.URLError, OSError):
            return False

    return probe


def log_line(log: Path, text: str) -> Probe:
    """Ready once the log contains the text."""

    def probe() -> bool:
        try:
            return text in log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False

    return probe


def wait_until(probe: Probe, timeout: float = 240.0) -> None:
    """Poll, quickly at first, until the probe says yes; the time only says that it never will.

    Raises:
        TimeoutError: it did not in time.

    """
    deadline = time.monotonic() + timeout
    pause = 0.01
    while not probe():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
