"""The pages that a certificate authority asks for under a name before it issues a certificate (runbook 6.3, HTTP-01).

The ingress leads `/.well-known/acme-challenge/` of every such name here. Several may run: the pages are in the records.
"""

from http import HTTPStatus

import psycopg
import structlog
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from activities.certificates.challenges import key_authorization
from records_schema.pool import BoundedConnection

_Pool = ConnectionPool[BoundedConnection]
_log = structlog.get_logger(__name__)


def application(pool: _Pool) -> Starlette:
    """Build it on the records' database."""

    async def page(request: Request) -> Response:
        try:
            found = await run_in_threadpool(_page, pool, request.path_params["token"])
        except (psycopg.Error, PoolTimeout) as error:
            _log.warning("a challenge can't be read", why=type(error).__name__)
            return PlainTextResponse("unavailable", HTTPStatus.SERVICE_UNAVAILABLE)
        if found is None:
            return PlainTextResponse("not found", HTTPStatus.NOT_FOUND)
        return PlainTextResponse(found, media_type="application/octet-stream")

    return Starlette(
        routes=[
            Route("/healthz", lambda _: PlainTextResponse("ok")),
            Route("/.well-known/acme-challenge/{token}", page, methods=["GET"]),
        ]
    )


def _page(pool: _Pool, token: str) -> str | None:
    with pool.connection() as connection, connection.cursor(row_factory=dict_row) as rows:
        return key_authorization(rows, token)
