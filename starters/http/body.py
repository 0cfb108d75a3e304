"""Reads a request's body: no more of it than allowed, and not for longer than allowed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from audit.text import length
from starters.http.problems import Problem

_SENT_WITHIN = timedelta(seconds=10)


def expect_json(request: Request) -> None:
    """Refuse what does not call itself JSON, or is compressed.

    Raises:
        Problem: 415.

    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, with Content-Type: application/json")
    expect_plain(request)


def expect_plain(request: Request) -> None:
    """Refuse a body that is compressed: nobody here asks for one, and a small one may hold a large one.

    Raises:
        Problem: 415, with what is taken (RFC 9110, 12.5.3).

    """
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "send it as it is, without Content-Encoding",
            headers={"Accept-Encoding": "identity"},
        )


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Give the body as it arrives.

    Raises:
        Problem: 408; 400 when the sender hung up.

    """
    loop, parts = asyncio.get_running_loop(), request.stream()
    until = loop.time() + _SENT_WITHIN.total_seconds()
    try:
        while True:
            async with asyncio.timeout_at(until):
                part = await anext(parts, None)
            if part is None:
                return
            yield part
    except TimeoutError:
        raise _slow() from None
    except ClientDisconnect:
        raise _broken_off() from None


async def read_json(request: Request, limit: int) -> bytes:
    """Read the body as it arrives, so that a chunked one can't be larger than `limit` bytes either.

    Raises:
        Problem: 415, 413, 408; 400 when the sender hung up.

    """
    expect_json(request)
    return await read_body(request, limit)


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body of any type, as `read_json` does.

    Raises:
        Problem: 413, 408; 400 when the sender hung up.

    """
    body = bytearray()
    try:
        async with asyncio.timeout(_SENT_WITHIN.total_seconds()):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes")
    except TimeoutError:
        raise _slow() from None
    except ClientDisconnect:
        raise _broken_off() from None
    return bytes(body)


def _slow() -> Problem:
    return Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body took longer than {length(_SENT_WITHIN)}")


def _broken_off() -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "the body is not complete")
