"""Who may post: bearer tokens or basic auth from settings, compared in constant time."""

from http import HTTPStatus

from starlette.requests import Request

from starters.http.credentials import digest, known, shown
from starters.http.problems import Problem
from workers.settings import SettingsError, WebhookSettings

_HOW = (
    "the webhook has no credentials, and without any it accepts nothing: set [webhook] bearer_tokens "
    "(for example RUNBOOKS_WEBHOOK__BEARER_TOKENS='[\"file:/run/secrets/webhook\"]') or basic_auth"
)


class Authenticator:
    """Accepts any of the configured credentials; there must be one, or a source with secrets of its own."""

    def __init__(self, settings: WebhookSettings) -> None:
        tokens = [token.get_secret_value() for token in settings.bearer_tokens]
        users = {user: password.get_secret_value() for user, password in settings.basic_auth.items()}
        if not tokens and not users and not settings.sources:
            raise SettingsError(_HOW)
        if not all(tokens):
            raise SettingsError("webhook.bearer_tokens: a token is empty")
        for user, password in users.items():
            if not user or ":" in user or not password:
                raise SettingsError("webhook.basic_auth: a user is empty or holds a colon, or a password is empty")
        self._known = {
            "bearer": [digest(token.encode()) for token in tokens],
            "basic": [digest(f"{user}:{password}".encode()) for user, password in users.items()],
        }
        schemes = (scheme.title() for scheme, known in self._known.items() if known)
        self._challenge = ", ".join(f'{scheme} realm="runbooks"' for scheme in schemes) or 'Bearer realm="runbooks"'

    def check(self, request: Request) -> None:
        """Refuse what doesn't authenticate.

        Raises:
            Problem: 401.

        """
        credential = shown(request)
        if not known(credential.value, self._known.get(credential.scheme, ())):
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "send one of the webhook's credentials in the Authorization header",
                headers={"WWW-Authenticate": self._challenge},
            )
