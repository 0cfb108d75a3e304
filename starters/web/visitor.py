"""Who looks at the page: a signed cookie says it, settings say which roles they have.

The cookie is a JSON Web Token with our own key (HS256). It holds a name and groups, never a right: which roles go with
them is looked up at every request, so that who is taken out of the settings has none after the next start.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.requests import Request
from starlette.responses import Response

from starters.steering.identity import Person
from workers.settings import WebSettings

_ALGORITHM = "HS256"
_GOES_ON_WITHIN = timedelta(hours=12)
"""A browser keeps the cookie of a session that has ended for so long; it lets nobody in."""


@dataclass(frozen=True)
class Visitor:
    """A person who has signed in."""

    who: str
    roles: tuple[str, ...]
    session: str
    until: datetime

    def speaking(self, roles: list[str] | tuple[str, ...] = (), wish: str = "") -> Person:
        """Give the person in the role they wish for, else in one of theirs that may, else in their first.

        Nobody speaks in a role that settings don't give them.
        """
        if wish and wish in self.roles:
            return Person(self.who, wish)
        may = [role for role in self.roles if role in roles]
        return Person(self.who, (may or [*self.roles, "visitor"])[0])


class Tokens:
    """Signs and reads what we give a browser to keep."""

    def __init__(self, settings: WebSettings) -> None:
        secret = settings.secret.get_secret_value() if settings.secret else secrets.token_urlsafe(32)
        self._secret = secret.encode()
        self._key = OctKey.import_key(hashlib.sha256(self._secret).digest())

    def sign(self, kind: str, within: timedelta, **claims: Any) -> str:
        """Give a token of one kind that ends by itself."""
        now = datetime.now(UTC)
        told = {**claims, "aud": kind, "iat": int(now.timestamp()), "exp": int((now + within).timestamp())}
        return jwt.encode({"alg": _ALGORITHM}, told, self._key)

    def read(self, kind: str, token: str, *, ended: bool = False) -> dict[str, Any] | None:
        """Give what a token says; None where it is none of ours, of another kind, or has ended.

        `ended`: also one that has ended, half a day ago at most.
        """
        claims = jwt.JWTClaimsRegistry(
            leeway=int(_GOES_ON_WITHIN.total_seconds()) if ended else 0,
            aud={"essential": True, "value": kind},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            found = jwt.decode(token, self._key, algorithms=[_ALGORITHM]).claims
            claims.validate(found)
        except (JoseError, ValueError):
            return None
        return found

    def csrf(self, session: str) -> str:
        """Give what a session's own forms send along, and nobody else's can know."""
        return hmac.new(self._secret, f"csrf {session}".encode(), hashlib.sha256).hexdigest()


class Sessions:
    """The cookie."""

    def __init__(self, settings: WebSettings, tokens: Tokens, base_url: str) -> None:
        self._settings, self._tokens = settings, tokens
        self._secure = base_url.startswith("https:")
        self.cookie = "__Host-runbooks" if self._secure else "runbooks"

    def begin(self, request: Request, response: Response, who: str, *, groups: list[str], roles: list[str]) -> None:
        """Let somebody in; `roles` are those that a link on the terminal gave.

        Where the same person's session has ended in this browser it goes on, so that a form that was open then counts.
        """
        lasts = self._settings.session_for
        before = self._tokens.read("session", request.cookies.get(self.cookie, ""), ended=True)
        sid = str(before["sid"]) if before and before["sub"] == who else secrets.token_urlsafe(16)
        token = self._tokens.sign("session", lasts, sub=who, groups=groups, roles=roles, sid=sid)
        self.keep(response, self.cookie, token, lasts + _GOES_ON_WITHIN)

    def keep(self, response: Response, name: str, value: str, lasts: timedelta) -> None:
        """Set a cookie that no script reads and no other site sends along with a form."""
        response.set_cookie(
            name,
            value,
            max_age=int(lasts.total_seconds()),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def end(self, response: Response, name: str = "") -> None:
        """Take it away."""
        response.delete_cookie(name or self.cookie, path="/", secure=self._secure, httponly=True, samesite="lax")

    def of(self, request: Request) -> Visitor | None:
        """Say who asks; None where nobody has signed in."""
        found = self._tokens.read("session", request.cookies.get(self.cookie, ""))
        if found is None:
            return None
        who = str(found["sub"])
        given = {*found["roles"]} if self._settings.oidc is None else set()
        return Visitor(
            who=who,
            session=str(found["sid"]),
            until=datetime.fromtimestamp(found["exp"], UTC),
            roles=(*self._roles(who, found["groups"]), *sorted(given)),
        )

    def _roles(self, who: str, groups: list[str]) -> list[str]:
        settings = self._settings
        by_name = {role for role, names in settings.people.items() if _exactly(who) in map(_exactly, names)}
        by_group = {role for role, names in settings.groups.items() if {*groups} & {*names}}
        return [role for role in dict.fromkeys([*settings.people, *settings.groups]) if role in by_name | by_group]


def _exactly(name: str) -> str:
    """Give a name in the form in which it gives rights: no two accounts of a provider have it.

    Stricter than how people are compared where it takes a right away (`signing.person`): Unicode's forms and what
    can't be seen tell accounts apart, so only ASCII's case and the outer spaces don't count.
    """
    return "".join(one.lower() if one.isascii() else one for one in name.strip(" \t"))
