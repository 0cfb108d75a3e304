"""The way in by HTTP: Slack posts, and signs what it posts (docs.slack.dev, "Verifying requests from Slack").

slack-sdk's own `SignatureVerifier` checks signature and time. A signed post that is sent again within its five minutes
does nothing a second time: a press and a typed word have their number, and a modal starts one run.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from slack_sdk.signature import SignatureVerifier
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from starters.http.body import read_body
from starters.http.problems import Problem
from starters.slack.conversation import Conversation, decoded
from starters.steering.errors import WrongInput

_LARGEST = 1024 * 1024
_FIELDS = 100


def application(
    conversation: Conversation, signing_secrets: Sequence[str], ready: Callable[[], Awaitable[bool]]
) -> Starlette:
    """Build it; without secrets it answers for its health alone."""
    verifiers = [SignatureVerifier(secret) for secret in signing_secrets]

    async def form(request: Request) -> dict[str, str]:
        body = await read_body(request, _LARGEST)
        # Every secret is tried, so that the time doesn't tell which one fits.
        if True not in [_signed(one, body, dict(request.headers)) for one in verifiers]:
            raise Problem(HTTPStatus.UNAUTHORIZED, "Slack's signature is missing, too old, or fits no signing secret")
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_FIELDS))
        except ValueError:
            raise Problem(HTTPStatus.BAD_REQUEST, "the body is no form") from None

    async def command(request: Request) -> Response:
        given = await form(request)
        return JSONResponse({} if given.get("ssl_check") else await conversation.command(given))

    async def interaction(request: Request) -> Response:
        try:
            payload = decoded((await form(request)).get("payload", ""))
        except WrongInput as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
        answer = await conversation.interaction(payload)
        return JSONResponse(answer) if answer else Response(status_code=HTTPStatus.OK)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        if await ready():
            return JSONResponse({"status": "ready"})
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Temporal or Slack's socket does not answer").response()

    taking = [
        Route("/slack/commands", command, methods=["POST"]),
        Route("/slack/interactions", interaction, methods=["POST"]),
    ]
    return Starlette(
        routes=[*(taking if verifiers else []), Route("/healthz", healthz), Route("/readyz", readyz)],
        exception_handlers={Problem: _refused},
    )


def _signed(verifier: SignatureVerifier, body: bytes, headers: dict[str, Any]) -> bool:
    """Tell whether Slack has signed it; what the library can't read is not signed."""
    try:
        return verifier.is_valid_request(body, headers)
    except (ValueError, TypeError, OverflowError):  # a time that is no number, a body that is no UTF-8
        return False


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()
