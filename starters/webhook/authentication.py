"""Who may post: bearer tokens or basic auth from settings, compared in constant time."""

import base64
import binascii
import hmac
from http import HTTPStatus

from starlette.requests import Request

from starters.webhook.problems import Problem
from workers.settings import SettingsError, Webhook


class Authenticator:
    """Accepts any of the configured credentials; there must be one."""

    def __init__(self, settings: Webhook) -> None:
        self._tokens = [token.get_secret_value().encode() for token in settings.bearer_tokens]
        self._basic = [
            f"{user}:{password.get_secret_value()}".encode() for user, password in settings.basic_auth.items()
        ]
        if not self._tokens and not self._basic:
            message = (
                "the webhook has no credentials, and without any it accepts nothing: set [webhook] bearer_tokens "
                "(for example RUNBOOKS_WEBHOOK__BEARER_TOKENS='[\"file:/run/secrets/webhook\"]') or basic_auth"
            )
            raise SettingsError(message)
        if any(len(secret) == 0 for secret in self._tokens):
            message = "webhook.bearer_tokens: a token is empty"
            raise SettingsError(message)

    def check(self, request: Request) -> None:
        """Refuse what doesn't authenticate.

        Raises:
            Problem: 401.

        """
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given, known = value.strip().encode(), self._tokens
        elif scheme.lower() == "basic":
            given, known = _decoded(value), self._basic
        else:
            given, known = b"", []
        # Every comparison is made, so that neither the number nor the order of the credentials shows in the time.
        matches = [hmac.compare_digest(given, secret) for secret in known]
        if not any(matches):
            challenge = 'Bearer realm="runbooks"' if self._tokens else 'Basic realm="runbooks"'
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "send one of the webhook's credentials in the Authorization header",
                headers={"WWW-Authenticate": challenge},
            )


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
