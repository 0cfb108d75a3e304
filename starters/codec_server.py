"""`POST /decode`: lets the Temporal UI show what the payload codec has encrypted, to people who may read it.

Temporal's remote codec protocol (docs.temporal.io, "Codec Server"): `{"payloads": [{"metadata": …, "data": …}]}` in
protobuf's JSON, there and back. There is no `/encode`: what the UI sends in plain is taken as it is.

Whoever may call it can read everything, so it needs the bearer token that the UI's users send, and only the UI's own
pages may ask from a browser.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payload

from starters.webhook.body import read_json
from starters.webhook.problems import Problem
from workers.codec import Undecipherable

_LARGEST = 16 * 1024 * 1024

Decrypt = Callable[[Payload], Payload]


def application(decrypt: Decrypt, token: str, ui_origin: str) -> Starlette:
    """Build it; `ui_origin` is scheme, host and port of the Temporal UI."""
    known = hashlib.sha256(token.encode()).digest()

    async def decode(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        offered = hashlib.sha256(given.strip().encode("latin-1")).digest()
        if not hmac.compare_digest(offered, known) or scheme.lower() != "bearer":
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "send the codec server's token as a bearer token",
                headers={"WWW-Authenticate": 'Bearer realm="runbooks"'},
            )
        payloads = _payloads(await read_json(request, _LARGEST))
        try:
            return JSONResponse({"payloads": [_shown(decrypt(payload)) for payload in payloads]})
        except Undecipherable as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None

    cors = Middleware(
        CORSMiddleware,
        allow_origins=[ui_origin],
        allow_methods=["POST"],
        allow_headers=["authorization", "content-type", "x-namespace"],
        allow_credentials=True,
    )
    return Starlette(
        routes=[Route("/decode", decode, methods=["POST"])], middleware=[cors], exception_handlers={Problem: _refused}
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


def _payloads(body: bytes) -> list[Payload]:
    try:
        given = json.loads(body)["payloads"]
        return [
            Payload(
                metadata={name: base64.b64decode(value, validate=True) for name, value in one["metadata"].items()},
                data=base64.b64decode(one.get("data", ""), validate=True),
            )
            for one in given
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error):
        message = 'expected {"payloads": [{"metadata": {…}, "data": …}]}, with values in base64'
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, message) from None


def _shown(payload: Payload) -> dict[str, Any]:
    return {
        "metadata": {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()},
        "data": base64.b64encode(payload.data).decode(),
    }
