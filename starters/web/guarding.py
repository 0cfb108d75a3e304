"""What every answer of the page carries, and what every form must show.

Nothing on a page is fetched from elsewhere, nothing in it is run that isn't a file of ours, nobody frames it. A form
counts with the session's own token, and only where the browser says that it was sent from the page itself.
"""

import hmac
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from starters.http.body import read_body
from starters.http.problems import Problem
from starters.web.visitor import Tokens, Visitor

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DOCUMENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
)
"""Of a self-contained document, which has its style in itself and no script at all."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
_LARGEST_FORM = 256 * 1024
_MOST_FIELDS = 500
_LOCAL = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Guard:
    """Puts the headers on every answer, and answers nobody who asks under another name."""

    def __init__(self, app: ASGIApp, *, base_url: str) -> None:
        self._app = app
        address = urlsplit(base_url)
        self._host = address.netloc
        self._https = address.scheme == "https"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if self._https:
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        if not self._named(scope):
            wrong = PlainTextResponse("nobody of that name is here", status_code=HTTPStatus.MISDIRECTED_REQUEST)
            await wrong(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _named(self, scope: Scope) -> bool:
        """Tell whether the Host is ours: a name that somebody points at 127.0.0.1 must not reach a page there."""
        if scope["path"] in {"/healthz", "/readyz"}:  # probes ask an address
            return True
        given = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if given == self._host:
            return True
        ours, port = self._host.rpartition(":")[::2]
        return ours in _LOCAL and given.rpartition(":")[::2] in {(name, port) for name in _LOCAL}


async def form(request: Request, tokens: Tokens, visitor: Visitor | None, base_url: str) -> list[tuple[str, str]]:
    """Read a form that was sent from our own page.

    Raises:
        Problem: 403, it was not; 400 or 413, it can't be read.

    """
    _same_site(request, base_url)
    body = await read_body(request, _LARGEST_FORM)
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the form can't be read") from None
    if visitor is not None:
        shown = request.headers.get("x-csrf-token") or dict(fields).get("csrf", "")
        if not hmac.compare_digest(shown.encode(), tokens.csrf(visitor.session).encode()):
            raise Problem(HTTPStatus.FORBIDDEN, "this page is from another session: reload it, and say it again")
    return [(name, value) for name, value in fields if name != "csrf"]


def _same_site(request: Request, base_url: str) -> None:
    where = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    hosts = {base_url, f"{request.url.scheme}://{request.headers.get('host', '')}"}
    if where not in {None, "same-origin", "none"} or (origin is not None and origin not in hosts):
        raise Problem(HTTPStatus.FORBIDDEN, "this form was not sent from this page")
