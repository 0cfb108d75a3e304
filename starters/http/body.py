"""Reads a request's body: JSON only, no more of it than allowed, and not for longer than allowed."""

import asyncio
from datetime import timedelta
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from starters.http.problems import Problem

_SENT_WITHIN = timedelta(seconds=10)


async def read_json(request: Request, limit: int) -> bytes:
    """Read the body as it arrives, so that a chunked one can't be larger than `limit` bytes either.

    Raises:
        Problem: 415, 413, 408; 400 when the sender hung up.

    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, with Content-Type: application/json")
    return await read_body(request, limit)


async def read_body(request: Request, limit: int) -> bytes:
    """Read a body of any type, as `read_json` does.

    Raises:
        Problem: 413, 408; 400 when the sender hung up.

    """
    body = bytearray()
    try:
        async with asyncio.timeout(_SENT_WITHIN.total_seconds()):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes")
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"the body took longer than {_SENT_WITHIN}") from None
    except ClientDisconnect:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is not complete") from None
    return bytes(body)
