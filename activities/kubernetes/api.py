"""The connection to one Kubernetes API server: how it is made, asked, and how its failures are typed.

Answers are read as plain JSON. The official client builds the requests and knows the credentials; its models are
left out, since most of an object's fields are not ours to know, and a patch must carry them unchanged.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, NoReturn

from activities.common.errors import Conflict, Misconfigured, NotFound, RateLimited, Refused, Unavailable, unavailable
from activities.common.http import wait_asked
from activities.kubernetes.kubeconfig import check
from libraries import kubernetes, kubernetes_config, urllib3

FIELD_MANAGER = "durable-runbooks"
"""Who the cluster's managedFields say changed an object."""

TIMEOUT = (2, 5)
"""Seconds to connect, and between two reads."""

_SYSTEM = "the Kubernetes API"
_PAGE = 500
_MESSAGE_CHARACTERS = 500

Object = dict[str, Any]


def connect(
    kubeconfig: Path | None = None, context: str | None = None, *, connections: int = 32
) -> "kubernetes.ApiClient":
    """Give a client for a kubeconfig's context, or for the cluster we run in where no kubeconfig is named.

    Does not talk to the API server. `connections` are kept open; there should be one for each thread that asks.
    The client doesn't retry: Temporal does, visibly.

    Raises:
        Misconfigured: the kubeconfig cannot be read, has no such context, or there is neither it nor a cluster.

    """
    settings = kubernetes.Configuration()
    settings.retries = False
    settings.connection_pool_maxsize = connections
    settings.keep_alive = True
    try:
        if kubeconfig is None and context is None:
            _load_default(settings)
        else:
            file = str(kubeconfig) if kubeconfig else None
            kubernetes_config.load_kube_config(file, context=context, client_configuration=settings)  # type: ignore[no-untyped-call]
    except (kubernetes_config.ConfigException, OSError) as error:
        check(kubeconfig, context)  # in our own words, where it finds what is wrong
        raise Misconfigured(f"no access to Kubernetes: {error}") from None
    api = kubernetes.ApiClient(settings)
    api.user_agent = FIELD_MANAGER
    return api


def _load_default(settings: "kubernetes.Configuration") -> None:
    try:
        kubernetes_config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except kubernetes_config.ConfigException:
        kubernetes_config.load_kube_config(client_configuration=settings)  # type: ignore[no-untyped-call]


def ask(method: Callable[..., Any], *args: Any, **options: Any) -> Object:
    """Call a method of the official client and give the answer's JSON.

    Raises:
        Unavailable, RateLimited, Conflict, NotFound, Refused: see `failures`.

    """
    with failures():
        answer = method(*args, **{"_request_timeout": TIMEOUT, "_preload_content": False, **options})
        parsed: Object = json.loads(answer.data)
    return parsed


def pages(method: Callable[..., Any], *args: Any, **options: Any) -> Iterator[Object]:
    """Give the items of a list, read page by page so that a long one is never in memory whole."""
    token: str | None = None
    while True:
        page = ask(method, *args, limit=_PAGE, _continue=token, **options)
        yield from page["items"]
        token = page["metadata"].get("continue")
        if not token:
            return


def optional(method: Callable[..., Any], *args: Any, **options: Any) -> Object | None:
    """Like `ask`; what is not there is None."""
    try:
        return ask(method, *args, **options)
    except NotFound:
        return None


@contextmanager
def failures() -> Iterator[None]:
    """Turn the client's failures into ours: the one place that does.

    Raises:
        Unavailable: no connection, no answer, 5xx.
        RateLimited: 429, with the Retry-After that the server asks for.
        Conflict: 409.
        NotFound: 404.
        Refused: 401, 403, 422 and the other 4xx.

    """
    try:
        yield
    except kubernetes.ApiException as error:
        _refuse(error)
    except (urllib3.exceptions.HTTPError, OSError, json.JSONDecodeError) as error:
        unavailable(_SYSTEM, error)


def said(error: "kubernetes.ApiException") -> str:
    """Give the message of the API server's Status object; nothing else of an answer may be shown."""
    try:
        message = str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        return str(HTTPStatus(error.status).phrase) if error.status in set(HTTPStatus) else ""
    return message[:_MESSAGE_CHARACTERS]


def _refuse(error: "kubernetes.ApiException") -> NoReturn:
    status = error.status or 0
    message = f"{_SYSTEM} answered {status}: {said(error)}" if status else f"{_SYSTEM}: TLS failed"
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited(message, next_retry_delay=wait_asked(error.headers or {})) from None
    if status == HTTPStatus.CONFLICT:
        raise Conflict(message) from None
    if status == HTTPStatus.NOT_FOUND:
        raise NotFound(message) from None
    # 410: a list's continue token has expired; the next attempt begins the list anew.
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in {0, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GONE}:
        raise Unavailable(message) from None
    raise Refused(message) from None


def moment(text: str) -> datetime:
    """Read one of the API's times (RFC 3339)."""
    return datetime.fromisoformat(text).astimezone(UTC)
