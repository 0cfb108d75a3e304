"""The ways in: a one-time link on the terminal, or the identity provider; and the way out."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from starters.http.problems import Problem
from starters.steering.identity import Person
from starters.web.guarding import form
from starters.web.oidc import Begun, Provider, SignInError
from starters.web.place import Place
from workers.settings import WebSettings

_LINK_LASTS = timedelta(minutes=15)
_BEGUN_LASTS = timedelta(minutes=10)
_BEGUN_COOKIE = "runbooks-signing-in"
_log = structlog.get_logger(__name__)


@dataclass
class Links:
    """One-time links; they live as long as this process, and none outlives a quarter of an hour."""

    _open: dict[str, tuple[Person, datetime]] = field(default_factory=dict)

    def make(self, person: Person) -> str:
        """Give the end of a link that lets one person in once."""
        token = secrets.token_urlsafe(24)
        self._open[token] = (person, datetime.now(UTC) + _LINK_LASTS)
        return f"/sign-in/{token}"

    def use(self, token: str) -> Person | None:
        """Use a link up; None where it was used, has ended, or never was."""
        person, until = self._open.pop(token, (None, datetime.min.replace(tzinfo=UTC)))
        return person if until > datetime.now(UTC) else None


class SigningIn:
    """The routes."""

    def __init__(self, place: Place, settings: WebSettings, links: Links, provider: Provider | None) -> None:
        self._place, self._settings, self._links, self._provider = place, settings, links, provider

    def routes(self) -> list[Route]:
        """Give them."""
        found = [
            Route("/sign-in", self._how),
            Route("/sign-out", self._out, methods=["POST"]),
        ]
        if self._provider is None:
            return [
                *found,
                Route("/sign-in/{token}", self._link),
                Route("/sign-in/{token}", self._used, methods=["POST"]),
            ]
        return [*found, Route("/sign-in/begin", self._begin), Route("/sign-in/callback", self._back)]

    async def _how(self, request: Request) -> Response:
        return self._page(request)

    def _page(self, request: Request, *, trouble: str = "", token: str = "", status: int = 200) -> Response:
        return self._place.shown(
            request,
            "sign_in.html.j2",
            None,
            status=status,
            trouble=trouble,
            token=token,
            provider=self._settings.oidc is not None,
            next=local(request.query_params.get("next", "/")),
        )

    # -- a link: it is shown first, so that no preview of a chat uses it up ---------------------------------

    async def _link(self, request: Request) -> Response:
        return self._page(request, token=request.path_params["token"])

    async def _used(self, request: Request) -> Response:
        await form(request, self._place.tokens, None, self._place.base_url)
        person = self._links.use(request.path_params["token"])
        if person is None:
            return self._page(request, trouble="This link has been used, or has ended.", status=HTTPStatus.GONE)
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        self._place.sessions.begin(request, response, person.who, groups=[], roles=[person.role])
        _log.info("signed in", who=person.who, role=person.role, by="link")
        return response

    # -- the provider -----------------------------------------------------------------------------------------

    async def _begin(self, request: Request) -> Response:
        assert self._provider is not None
        begun = Begun.now()
        try:
            address = await self._provider.address(begun)
        except SignInError as error:
            return self._page(request, trouble=str(error), status=HTTPStatus.BAD_GATEWAY)
        response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
        kept = self._place.tokens.sign(
            "signing-in",
            _BEGUN_LASTS,
            state=begun.state,
            nonce=begun.nonce,
            verifier=begun.verifier,
            next=local(request.query_params.get("next", "/")),
        )
        self._place.sessions.keep(response, _BEGUN_COOKIE, kept, _BEGUN_LASTS)
        return response

    async def _back(self, request: Request) -> Response:
        assert self._provider is not None
        kept: dict[str, Any] | None = self._place.tokens.read("signing-in", request.cookies.get(_BEGUN_COOKIE, ""))
        code, state = request.query_params.get("code", ""), request.query_params.get("state", "")
        if kept is None or not code or not secrets.compare_digest(str(kept["state"]).encode(), state.encode()):
            refused = "This sign-in is not one of this browser, or took too long."
            if "error" in request.query_params:
                refused = "The provider has said no."
            return self._page(request, trouble=f"{refused} Begin again.", status=HTTPStatus.BAD_REQUEST)
        try:
            known = await self._provider.known(code, Begun(kept["state"], kept["nonce"], kept["verifier"]))
        except SignInError as error:
            _log.warning("nobody was signed in", why=str(error))
            return self._page(request, trouble=f"{error}.", status=HTTPStatus.FORBIDDEN)
        response = RedirectResponse(local(str(kept["next"])), HTTPStatus.SEE_OTHER)
        self._place.sessions.begin(request, response, known.who, groups=known.groups, roles=[])
        self._place.sessions.end(response, _BEGUN_COOKIE)
        _log.info("signed in", who=known.who, by="oidc")
        return response

    async def _out(self, request: Request) -> Response:
        visitor = self._place.sessions.of(request)
        if visitor is None:
            raise Problem(HTTPStatus.FORBIDDEN, "nobody has signed in here")
        await form(request, self._place.tokens, visitor, self._place.base_url)
        response = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        self._place.sessions.end(response)
        return response


def local(address: str) -> str:
    """Give a way within this page; anything else is its beginning."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if inside and "\\" not in address else "/"
