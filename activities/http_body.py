"""Reading the answer of somebody else's HTTP server: no further than we care, and no longer than it may take."""

import time

from libraries import httpx


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
