"""The operators' page: puts it together."""

import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from starters.steering.session import Session
from starters.web import public
from starters.web.acting import Acting
from starters.web.archive import Archive
from starters.web.board import Board
from starters.web.guarding import Guard
from starters.web.oidc import Provider
from starters.web.pages import Pages
from starters.web.place import Place
from starters.web.signing_in import Links, SigningIn
from starters.web.troubles import Troubles
from starters.web.visitor import Sessions, Tokens

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

_KEPT_FOR = "public, max-age=3600"


class _Files(StaticFiles):
    """Our own files, which a browser may keep for an hour."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        """Answer with one."""
        response = super().file_response(*args, **options)
        response.headers["Cache-Control"] = _KEPT_FOR
        return response


def application(session: Session, pool: "ConnectionPool[Any]", links: Links, base_url: str) -> Starlette:
    """Put the page together; it starts without Temporal and without the records, and says so while they are away."""
    settings = session.settings.web
    tokens = Tokens(settings)
    place = Place(session, tokens, Sessions(settings, tokens, base_url), base_url)
    board = Board(session, pool)
    pages = Pages(place, board, Archive(session, pool))
    provider = Provider(settings.oidc, f"{base_url}/sign-in/callback") if settings.oidc else None

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with board.looking():
            yield

    async def readyz(_: Request) -> Response:
        now = board.now
        status = HTTPStatus.OK if now.at and not now.trouble else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"status": now.trouble or "ready"}, status)

    return Starlette(
        routes=[
            *SigningIn(place, settings, links, provider).routes(),
            *pages.routes(),
            *Acting(place, pages.hub).routes(),
            Mount("/status", public.application(pool, session.settings)),
            Mount("/static", _Files(packages=[("starters.web", "static")])),
            Route("/healthz", lambda _: PlainTextResponse("ok")),
            Route("/readyz", readyz),
        ],
        middleware=[Middleware(Guard, base_url=base_url)],
        exception_handlers=Troubles(place).handlers,
        lifespan=lifespan,
    )
