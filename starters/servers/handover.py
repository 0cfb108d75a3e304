"""The page behind a one-time link: shows a customer's secret once (runbook 5.1, 8.2 step 2).

Opening the link shows a button; only pressing it shows the secret and erases it, since mail scanners and previews open
links as well. Whoever has the link may: it is what authenticates.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import jinja2
import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from activities.handovers.handovers import Contents
from activities.handovers.links import is_waiting, open_once
from records_schema.pool import BoundedConnection
from records_schema.refusals import broken_rule

_Pool = ConnectionPool[BoundedConnection]
_log = structlog.get_logger(__name__)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def application(pool: _Pool) -> Starlette:
    """Build it on the records' database."""

    def page(work: Callable[[_Pool, str], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await run_in_threadpool(work, pool, request.path_params["token"])
            except (psycopg.Error, PoolTimeout, UnicodeError) as error:
                if broken_rule(error) is not None:  # no link of ours has such a token
                    return _shown(HTTPStatus.GONE, "gone")
                _log.warning("a handover can't be read", why=type(error).__name__)
                return _shown(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")

        return answer

    return Starlette(
        routes=[
            Route("/healthz", lambda _: PlainTextResponse("ok")),
            Route("/handover/{token}", page(_waiting), methods=["GET"]),
            Route("/handover/{token}", page(_opened), methods=["POST"]),
        ]
    )


def _waiting(pool: _Pool, token: str) -> Response:
    with pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        waiting = is_waiting(rows, token)
    return _shown(HTTPStatus.OK, "waiting") if waiting else _shown(HTTPStatus.GONE, "gone")


def _opened(pool: _Pool, token: str) -> Response:
    with pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        contents = open_once(rows, token)
    if contents is None:
        return _shown(HTTPStatus.GONE, "gone")
    _log.info("a handover was opened", names=sorted(contents))
    return _shown(HTTPStatus.OK, "open", contents)


def _shown(status: HTTPStatus, state: str, contents: Contents | None = None) -> Response:
    page = _ENVIRONMENT.get_template("handover.html.j2").render(state=state, contents=contents or {})
    return HTMLResponse(page, status, headers=_HEADERS)


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("starters.servers", ""), autoescape=True, undefined=jinja2.StrictUndefined
)
