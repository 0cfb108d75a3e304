"""Signs people in at an OpenID Connect provider: authorisation code with PKCE (OpenID Connect Core 1.0, RFC 7636).

joserfc checks the ID token, httpx fetches. What the provider says of itself is read once an hour, so its new keys are
known in time; a token signed by an unknown key makes us read at once, and then at most every minute.
"""

import asyncio
import base64
import hashlib
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from workers.settings import OidcSettings
from workflows.platform.signing import seen

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
_ANSWERS_WITHIN = 10.0
_READ_EVERY = 3600.0
_READ_AGAIN_AFTER = 60.0
_LONGEST_NAME = 200
"""As long as a name may be in what is signed."""

_MOST_GROUPS = 200
"""A cookie has four kilobytes."""

_LEEWAY = 60
"""Seconds by which the provider's clock may differ from ours."""


class SignInError(Exception):
    """Somebody was not let in; says why, without what was sent."""


@dataclass(frozen=True)
class Begun:
    """A sign-in that has begun: what the browser brings back must fit it."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def now(cls) -> "Begun":
        """Begin one."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))


@dataclass(frozen=True)
class Known:
    """Whom the provider knows."""

    who: str
    groups: list[str]


class Provider:
    """One provider."""

    def __init__(self, settings: OidcSettings, redirect_uri: str) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._document: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = -_READ_EVERY
        self._turn = asyncio.Lock()

    async def address(self, begun: Begun) -> str:
        """Give where to send the browser.

        Raises:
            SignInError: the provider doesn't answer, or not as one.

        """
        document = await self._about()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(self._settings.scopes),
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{document['authorization_endpoint']}?{urlencode(query)}"

    async def known(self, code: str, begun: Begun) -> Known:
        """Exchange the code, and check the ID token.

        Raises:
            SignInError: the provider doesn't answer or refuses, or its token doesn't count.

        """
        claims = await self._claims(await self._token(code, begun), begun)
        # Some providers send it as text; some don't send it, and vouch for every address.
        if self._settings.name_claim == "email" and claims.get("email_verified", True) not in (True, "true"):
            raise SignInError("the provider has not verified that e-mail address")
        who = claims.get(self._settings.name_claim)
        if not isinstance(who, str) or not who.strip():
            raise SignInError(f"the provider's token has no {self._settings.name_claim!r} to call you by")
        # Shortened, or without what can't be seen, it would be somebody else's.
        if len(who) > _LONGEST_NAME or seen(who) != who:
            raise SignInError(f"the provider's {self._settings.name_claim!r} is too long, or has what nobody can see")
        groups = claims.get(self._settings.groups_claim, [])
        return Known(
            who.strip(), [one for one in groups if isinstance(one, str)][:500] if isinstance(groups, list) else []
        )

    async def _token(self, code: str, begun: Begun) -> str:
        document = await self._about()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": begun.verifier,
            "client_id": self._settings.client_id,
        }
        secret = self._settings.client_secret
        auth = httpx.BasicAuth(self._settings.client_id, secret.get_secret_value()) if secret else None
        async with self._client() as client:
            try:
                answer = await client.post(
                    document["token_endpoint"],
                    data=form,
                    headers={"Accept": "application/json"},
                    auth=auth or httpx.USE_CLIENT_DEFAULT,
                )
                content = answer.json()
            except (httpx.HTTPError, ValueError):
                raise SignInError("the identity provider doesn't answer: try again in a minute") from None
        token = content.get("id_token") if isinstance(content, dict) else None
        if answer.is_error or not isinstance(token, str):
            raise SignInError("the identity provider has not accepted this sign-in: begin again")
        return token

    async def _claims(self, token: str, begun: Begun) -> dict[str, Any]:
        try:
            decoded = await self._decoded(token)
            claims = decoded.claims
            jwt.JWTClaimsRegistry(
                leeway=_LEEWAY,
                iss={"essential": True, "value": self._settings.issuer},
                aud={"essential": True, "value": self._settings.client_id},
                exp={"essential": True},
                iat={"essential": True},
                sub={"essential": True},
                nonce={"essential": True, "value": begun.nonce},
            ).validate(claims)
        except (JoseError, ValueError) as error:
            raise SignInError(f"the identity provider's token does not count ({type(error).__name__})") from None
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise SignInError("the identity provider's token is for another application")
        return claims

    async def _decoded(self, token: str) -> jwt.Token:
        await self._about()
        assert self._keys is not None
        try:
            return jwt.decode(token, self._keys, algorithms=_ALGORITHMS)
        except (JoseError, ValueError):
            if time.monotonic() - self._read_at < _READ_AGAIN_AFTER:
                raise
            await self._about(anew=True)  # its keys may have changed since
            return jwt.decode(token, self._keys, algorithms=_ALGORITHMS)

    async def _about(self, *, anew: bool = False) -> dict[str, Any]:
        """Read what the provider says of itself (OpenID Connect Discovery 1.0), and its keys."""
        async with self._turn:
            if not anew and time.monotonic() - self._read_at < _READ_EVERY:
                return self._document
            issuer = self._settings.issuer
            async with self._client() as client:
                try:
                    found = (
                        await client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                    ).raise_for_status()
                    document = found.json()
                    if document["issuer"] != issuer:
                        raise SignInError("the identity provider calls itself by another name than [web.oidc] issuer")
                    keys = (await client.get(document["jwks_uri"])).raise_for_status()
                    self._keys = KeySet.import_key_set(keys.json())
                    self._document = {name: document[name] for name in ("authorization_endpoint", "token_endpoint")}
                except (httpx.HTTPError, JoseError, ValueError, KeyError, TypeError):
                    raise SignInError("the identity provider doesn't answer as one: try again in a minute") from None
            self._read_at = time.monotonic()
            return self._document

    def _client(self) -> httpx.AsyncClient:
        trusted = ssl.create_default_context()
        if self._settings.ca_file is not None:
            trusted.load_verify_locations(self._settings.ca_file)
        return httpx.AsyncClient(timeout=_ANSWERS_WITHIN, verify=trusted, follow_redirects=False)
