"""What the services behind HTTP have in common: a typed failure for each way they can say no.

Messages carry the status and the service's own sentence, shortened; never a URL, a header or a whole body.
"""

import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TYPE_CHECKING

from pydantic import SecretStr

from activities.common.errors import Misconfigured, NotFound, RateLimited, Refused, Unavailable, unavailable
from libraries import httpx

if TYPE_CHECKING:
    import ssl

TIMEOUT = (3.0, 5.0, 5.0, 5.0)
"""Seconds to connect, read, write, and to wait for a free connection.

An attempt's requests must fit into its start-to-close timeout.
"""

_SLOW_DOWN = {420, 429}  # 420 is Statuspage's
_LATER = {408, 425}
"""Of a request that took too long to arrive, or came too early: nothing is wrong with it (RFC 9110, RFC 8470)."""
_LONGEST_WAIT = timedelta(minutes=10)
_LONGEST_SENTENCE = 300


def trusted() -> "ssl.SSLContext":
    """Give the authorities that httpx trusts, read once a process: it takes 30 ms of CPU, and each client would."""
    return _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trusted(*_where: str | None) -> "ssl.SSLContext":
    return httpx.create_ssl_context()


def send(
    system: str,
    request: "Callable[[], httpx.Response]",
    *,
    secret: SecretStr,
    sentence: "Callable[[httpx.Response], str]",
) -> "httpx.Response":
    """Send a request, and give the answer if it is a success.

    `sentence` finds what the service says of a failure; should that repeat `secret`, it is cut out.

    Raises:
        Unavailable: no answer, 5xx, 408 or 425; the effect may have happened.
        RateLimited: 429 or 420, or 403 that says so; carries the wait the service asked for.
        Misconfigured: 401, the credential of the settings is not accepted.
        NotFound, Refused: 404, and the rest of 4xx.

    """
    try:
        response = request()
    except httpx.HTTPError as error:
        unavailable(system, error)
    status = response.status_code
    if response.is_success:
        return response
    if status in _SLOW_DOWN or (status == httpx.codes.FORBIDDEN and _is_limit(response.headers)):
        raise RateLimited(
            f"{system} asks us to slow down (HTTP {status})", next_retry_delay=wait_asked(response.headers)
        )
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _LATER:
        raise Unavailable(f"{system} failed (HTTP {status})")
    said = _safe(sentence, response, secret)
    if status == httpx.codes.UNAUTHORIZED:
        raise Misconfigured(f"{system} does not accept the credential of the settings (HTTP 401)")
    if status == httpx.codes.NOT_FOUND:
        raise NotFound(f"{system} does not know the target (HTTP 404){said}")
    raise Refused(f"{system} refused (HTTP {status}){said}")


def _is_limit(headers: Mapping[str, str]) -> bool:
    """Tell a limit from a missing permission: GitHub answers 403 to both (docs.github.com, "Rate limits")."""
    return "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"


def wait_asked(headers: Mapping[str, str], *, longest: timedelta = _LONGEST_WAIT) -> timedelta | None:
    """Read `Retry-After` (RFC 9110), seconds or a date, at most `longest`; None where it is missing or unreadable."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isdecimal():
        # Longer numbers would overflow, and mean the same.
        return min(timedelta(seconds=int(value[:9])), longest)
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - datetime.now(UTC), timedelta(0)), longest)


def _safe(sentence: "Callable[[httpx.Response], str]", response: "httpx.Response", secret: SecretStr) -> str:
    try:
        said = sentence(response)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    said = " ".join(said.replace(secret.get_secret_value(), "[redacted]").split())[:_LONGEST_SENTENCE]
    return f": {said}" if said else ""


def read_body(answer: "httpx.Response", *, most: int, deadline: float) -> bytes:
    """Read at most `most` bytes of a streamed answer, until `time.monotonic()` reaches `deadline`.

    Raises:
        httpx.ReadTimeout: it had not ended by then; a server that drips would hold us for ever otherwise.

    """
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) >= most:
            break
        if time.monotonic() > deadline:
            raise httpx.ReadTimeout("the answer did not end in time")
    return bytes(body[:most])
