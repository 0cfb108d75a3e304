"""`POST /decode` and `/encode`: the Temporal UI and CLI read and send what the payload codec encrypts.

Temporal's remote codec protocol (docs.temporal.io, "Codec Server"): `{"payloads": [{"metadata": …, "data": …}]}` in
protobuf's JSON, there and back. Where it is set, the UI starts and signals nothing without `/encode`.

Whoever may call it can read everything, so it needs the token, and only the UI's own pages may ask from a browser. The
CLI sends it as a bearer token. The UI sends a bearer token only over HTTPS, that of its own OIDC login; else it sends
what the browser has (*Include cross-origin credentials*). So the token is taken as a password too, under any name, and
`GET /` has the browser ask for it.
"""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from temporalio.api.common.v1 import Payload

from starters.http.body import read_json
from starters.http.credentials import digest, known, shown
from starters.http.problems import Problem
from workers.codec import AesGcmCodec, Undecipherable

_LARGEST = 16 * 1024 * 1024


def application(codec: AesGcmCodec, token: str, ui_origin: str) -> Starlette:
    """Build it; `ui_origin` is scheme, host and port of the Temporal UI."""
    tokens = [digest(token.encode())]

    def check(request: Request) -> None:
        if not known(shown(request).password, tokens):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "send the codec server's token, as a bearer token or as a password",
                headers={"WWW-Authenticate": 'Basic realm="codec server", charset="UTF-8"'},
            )

    async def opened(request: Request) -> Response:
        check(request)
        return PlainTextResponse("This browser may read encrypted payloads now: go back to the Temporal UI.")

    def converting(convert: Callable[[Payload], Payload]) -> Callable[[Request], Awaitable[Response]]:
        async def converted(request: Request) -> Response:
            check(request)
            payloads = _payloads(await read_json(request, _LARGEST))
            try:
                return JSONResponse({"payloads": [_shown(convert(payload)) for payload in payloads]})
            except Undecipherable as error:
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None

        return converted

    cors = Middleware(
        CORSMiddleware,
        allow_origins=[ui_origin],
        allow_methods=["POST"],
        allow_headers=["authorization", "content-type", "x-namespace"],
        allow_credentials=True,
    )
    return Starlette(
        routes=[
            Route("/", opened),
            Route("/decode", converting(codec.decrypt), methods=["POST"]),
            Route("/encode", converting(codec.encrypt), methods=["POST"]),
        ],
        middleware=[cors],
        exception_handlers={Problem: _refused},
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
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            'expected {"payloads": [{"metadata": {…}, "data": …}]}, with values in base64',
        ) from None


def _shown(payload: Payload) -> dict[str, Any]:
    return {
        "metadata": {name: base64.b64encode(value).decode() for name, value in payload.metadata.items()},
        "data": base64.b64encode(payload.data).decode(),
    }
