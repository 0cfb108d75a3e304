"""What went wrong, as a page or in a form's place: a sentence, what still works, and the status that fits."""

from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlencode

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ExceptionHandler
from temporalio.service import RPCError, RPCStatusCode

from starters.http.problems import Problem
from starters.steering.errors import NoSuchRun, Refused, SteeringError, Unreachable, WrongChoice, WrongInput
from starters.web.acting import refused
from starters.web.archive import RecordsAway
from starters.web.place import Place, SignInFirst, part

_STATUSES: dict[type[SteeringError], HTTPStatus] = {  # what is more special stands first
    WrongChoice: HTTPStatus.UNPROCESSABLE_ENTITY,
    WrongInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    Unreachable: HTTPStatus.SERVICE_UNAVAILABLE,
    NoSuchRun: HTTPStatus.NOT_FOUND,
    SteeringError: HTTPStatus.CONFLICT,
}
_TITLES = {HTTPStatus.SERVICE_UNAVAILABLE: "Not available now"}
"""What people say instead of a status's own phrase."""

Works = Sequence[tuple[str, str]]
"""Ways on: their addresses, and their names."""

_WITHOUT_TEMPORAL: Works = (
    ("/runbook", "the runbook"),
    ("/search", "the archive"),
    ("/status/", "the public status page"),
)
_WITHOUT_RECORDS: Works = (("/", "what is open, and all that is said to it"), ("/runbook", "the runbook"))
_DOWN = "Temporal does not answer. Runs go on when it is back; nothing is lost."
_AWAY = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
_NO_CONNECTION = "client connect"
"""What the SDK says where its first connection fails."""

_log = structlog.get_logger(__name__)


class Troubles:
    """Answers in place of a page that can't be."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def handlers(self) -> dict[type[Exception] | int, ExceptionHandler]:
        """Give them by the kind of error."""
        return {
            SignInFirst: self._sign_in_first,
            SteeringError: self._steering,
            Problem: self._problem,
            HTTPException: self._http,
            RPCError: self._away,
            RuntimeError: self._away,
            TimeoutError: self._away,
        }

    async def _steering(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, SteeringError)
        status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
        works = _WITHOUT_TEMPORAL if isinstance(error, Unreachable) else ()
        return self._told(request, str(error), status, _WITHOUT_RECORDS if isinstance(error, RecordsAway) else works)

    async def _problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return self._told(request, error.detail, error.status)

    async def _http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self._told(request, error.detail, HTTPStatus(error.status_code))

    async def _away(self, request: Request, error: Exception) -> Response:
        if isinstance(error, RPCError):
            if error.status not in _AWAY:
                return await self._steering(request, Refused(f"Temporal refused: {error.message}"))
        elif isinstance(error, RuntimeError) and _NO_CONNECTION not in str(error):
            raise error  # no server that is away, but a fault of ours
        _log.warning("Temporal does not answer", why=type(error).__name__)
        return await self._steering(request, Unreachable(_DOWN))

    async def _sign_in_first(self, request: Request, _: Exception) -> Response:
        if "hx-request" in request.headers:
            return HTMLResponse(part("_ended.html.j2").html, HTTPStatus.UNAUTHORIZED)  # what is typed stays
        if request.url.path.startswith("/live/"):
            return PlainTextResponse("sign in again", HTTPStatus.UNAUTHORIZED)
        wanted = f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path
        where = f"/sign-in?{urlencode({'next': wanted})}" if request.method == "GET" else "/sign-in"
        return RedirectResponse(where, HTTPStatus.SEE_OTHER)

    def _told(self, request: Request, text: str, status: HTTPStatus, works: Works = ()) -> Response:
        if "hx-request" in request.headers:
            return refused(text, status)
        visitor = self._place.sessions.of(request)
        works = works if visitor else [one for one in works if one[0].startswith("/status")]
        return self._place.shown(
            request,
            "trouble.html.j2",
            visitor,
            status=status,
            title=_TITLES.get(status, status.phrase),
            text=text,
            works=works,
            again=request.method == "GET" and status is HTTPStatus.SERVICE_UNAVAILABLE,
        )
