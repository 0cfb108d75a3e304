"""Requests to Slack's Web API, with a typed failure for each way it can say no.

The SDK's own retries differ by what a request does. What changes nothing, or changes it once, is retried after a
lost answer too. A post is not (the SDK would, by default): it may be out already, and only a look-up can tell. Short
waits for the rate limit happen here, longer ones are handed to Temporal.

Failures carry Slack's error code and nothing else of the answer, which may repeat what was sent.
"""

import http.client
import re
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any, NoReturn

from pydantic import SecretStr
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry import ConnectionErrorRetryHandler, HttpResponse, RateLimitErrorRetryHandler
from slack_sdk.http_retry.builtin_handlers import ServerErrorRetryHandler

from activities.common.errors import Misconfigured, NotFound, RateLimited, Refused, Unavailable, unavailable
from activities.common.http import wait_asked

_CREDENTIAL = {
    *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "no_permission"),
    *("access_denied", "ekm_access_denied", "not_allowed_token_type", "org_login_required"),
    "two_factor_setup_required",
}
_PASSING = {
    "external_channel_migrating",
    "team_added_to_org",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "not_in_channel",
}  # the last: we join again
_TOO_FAST = {"ratelimited", "rate_limited"}
"""The latter is chat.postMessage's own, with HTTP 200 (docs.slack.dev, "chat.postMessage", Errors)."""
_MISSING = {"channel_not_found", "thread_not_found"}
_SHORT_WAIT = timedelta(seconds=3)
_READ_TIMEOUT, _WRITE_TIMEOUT = 4, 6  # seconds
_PAGE_SIZE = 200


class _ShortRateLimit(RateLimitErrorRetryHandler):
    """Waits where Slack asks for a short wait only: a thread that sleeps is one less for everybody else."""

    def _can_retry(self, *, response: HttpResponse | None = None, **rest: Any) -> bool:
        if not super()._can_retry(response=response, **rest) or response is None:
            return False
        headers = {name.lower(): str(values[0]) for name, values in response.headers.items() if values}
        wait = wait_asked(headers)
        return wait is not None and wait <= _SHORT_WAIT


class SlackCalls:
    """One app's access to one workspace.

    Raises:
        Unavailable: no answer, or a passing fault; a post may be out.
        RateLimited: Slack wants a wait of more than three seconds, and says how long.
        Misconfigured: the token is not accepted, or lacks a scope, which is named.
        NotFound, Refused: the channel or thread isn't there; anything else that Slack says no to.

    """

    def __init__(self, token: SecretStr, base_url: str) -> None:
        secret = token.get_secret_value()
        anything = [_ShortRateLimit(), ConnectionErrorRetryHandler(), ServerErrorRetryHandler()]
        self._repeatable = WebClient(secret, base_url=base_url, timeout=_READ_TIMEOUT, retry_handlers=anything)
        self._once = WebClient(secret, base_url=base_url, timeout=_WRITE_TIMEOUT, retry_handlers=[_ShortRateLimit()])

    def repeat(self, method: str, unless: Collection[str] = (), **params: Any) -> dict[str, Any] | None:
        """Call a method that may be called twice; None where Slack says one of the codes in `unless`."""
        return _answer(self._repeatable, method, unless, params=params)

    def once(self, method: str, unless: Collection[str] = (), **body: Any) -> dict[str, Any] | None:
        """Call a method that may not be called twice; None where Slack says one of the codes in `unless`."""
        return _answer(self._once, method, unless, json={k: v for k, v in body.items() if v is not None})

    def upload(self, channel: str, content: bytes, *, name: str, title: str, comment: str, thread: str | None) -> None:
        """Share a file with a comment; its message appears in the channel a moment later, and nothing says as what.

        Needs the scope files:write.
        """
        try:
            self._once.files_upload_v2(
                channel=channel, content=content, filename=name, title=title, initial_comment=comment, thread_ts=thread
            )
        except SlackApiError as error:
            _refuse("files.upload", error)
        except (OSError, http.client.HTTPException, SlackClientError) as error:
            unavailable("Slack", error)

    def pages(self, method: str, items: str, at_most: int, **params: Any) -> Iterator[dict[str, Any]]:
        """Go through the items of up to `at_most` pages of a list."""
        cursor = ""
        for _ in range(at_most):
            answer = self.repeat(method, limit=_PAGE_SIZE, **params, **({"cursor": cursor} if cursor else {})) or {}
            yield from answer.get(items) or []
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return


def _answer(client: WebClient, method: str, unless: Collection[str], **content: Any) -> dict[str, Any] | None:
    try:
        answer = client.api_call(method, **content)
    except SlackApiError as error:
        if _code(error) in unless:
            return None
        _refuse(method, error)
    except (OSError, http.client.HTTPException, SlackClientError) as error:
        unavailable("Slack", error)
    return answer.data if isinstance(answer.data, dict) else {}


def _refuse(method: str, error: SlackApiError) -> NoReturn:
    code, status, headers = _code(error), _status(error), _headers(error)
    if status == http.client.TOO_MANY_REQUESTS or code in _TOO_FAST:
        raise RateLimited(f"Slack asks us to slow down ({method})", next_retry_delay=wait_asked(headers)) from None
    if status >= http.client.INTERNAL_SERVER_ERROR or code in _PASSING:
        raise Unavailable(f"Slack failed ({method}: {code}, HTTP {status})") from None
    if code == "missing_scope":
        needed = re.sub(r"[^a-z:.,_]", "", str(_body(error).get("needed", "")))
        raise Misconfigured(f"Slack's token lacks the scope {needed} for {method}") from None
    if code in _CREDENTIAL:
        raise Misconfigured(f"Slack does not accept the token of the settings ({code})") from None
    if code in _MISSING:
        raise NotFound(f"Slack: {code} ({method})") from None
    raise Refused(f"Slack refused {method}: {code}") from None


def _body(error: SlackApiError) -> dict[str, Any]:
    data = getattr(error.response, "data", error.response)
    return data if isinstance(data, dict) else {}


def _code(error: SlackApiError) -> str:
    code = str(_body(error).get("error", ""))
    return code if re.fullmatch(r"[a-z0-9_]{1,60}", code) else "no readable error code"


def _status(error: SlackApiError) -> int:
    return int(getattr(error.response, "status_code", None) or _body(error).get("status") or 0)


def _headers(error: SlackApiError) -> dict[str, str]:
    headers = getattr(error.response, "headers", None) or _body(error).get("headers") or {}
    return {str(name).lower(): str(value) for name, value in dict(headers).items()}
