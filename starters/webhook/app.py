"""The webhook's HTTP side.

2xx only when Temporal has accepted, 5xx so that the sender tries again, 4xx where trying again can't help.
"""

import asyncio
import json
import time
from collections import Counter as Counts
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from http import HTTPStatus

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from starters.webhook.alertmanager import AlertmanagerAlert, Group
from starters.webhook.authentication import Authenticator
from starters.webhook.intake import Intake, Taken, TemporalUnavailable
from starters.webhook.problems import Problem, errors_of
from workers.settings import Webhook

_log = structlog.get_logger(__name__)


class Metrics:
    """What Prometheus scrapes of one webhook."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.alerts = Counter(
            "runbooks_webhook_alerts_total", "Alerts by what became of them.", ["outcome"], registry=self.registry
        )
        self.requests = Counter(
            "runbooks_webhook_requests_total", "Posts by HTTP status.", ["status"], registry=self.registry
        )
        self.seconds = Histogram(
            "runbooks_webhook_seconds", "Time to answer a post.", registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        )  # fmt: skip


def application(
    settings: Webhook, intake: Intake, ready: Callable[[], Awaitable[bool]], lifespan: object = None
) -> Starlette:
    """Put the endpoints together; `ready` tells whether Temporal answers.

    Raises:
        SettingsError: no credentials are configured.

    """
    authenticator = Authenticator(settings)
    metrics = Metrics()

    async def alertmanager(request: Request) -> Response:
        began = time.perf_counter()
        try:
            response = await _post(request)
        except Problem as problem:
            response = problem.response()
        metrics.seconds.observe(time.perf_counter() - began)
        metrics.requests.labels(status=str(response.status_code)).inc()
        return response

    async def _post(request: Request) -> Response:
        authenticator.check(request)
        group = _group(await _body(request, settings.max_body))
        taken = await _take_all(intake, group)
        for one in taken:
            metrics.alerts.labels(outcome=one.outcome).inc()
        _log.info(
            "alerts taken",
            outcomes=dict(Counts(one.outcome for one in taken)),
            runs=[one.workflow_id for one in taken],
        )
        if all(one.outcome == "invalid" for one in taken):
            errors = [{"field": f"alerts.{n}", "message": one.detail} for n, one in enumerate(taken)]
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "none of the alerts can be taken", errors=errors)
        return JSONResponse({"alerts": [asdict(one) for one in taken]}, status_code=HTTPStatus.ACCEPTED)

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        if await ready():
            return JSONResponse({"status": "ready"})
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Temporal does not answer").response()

    async def exposition(_: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type="text/plain; version=0.0.4")

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return Problem(HTTPStatus(error.status_code), error.detail, headers=dict(error.headers or {})).response()

    return Starlette(
        routes=[
            Route("/webhooks/alertmanager", alertmanager, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", exposition),
        ],
        exception_handlers={HTTPException: refused},
        lifespan=lifespan,  # type: ignore[arg-type]
    )


async def _body(request: Request, limit: int) -> bytes:
    """Read a JSON body, and no more of it than allowed."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, with Content-Type: application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {limit} bytes")
    return bytes(body)


def _group(body: bytes) -> Group:
    try:
        return Group.model_validate(json.loads(body))
    except ValidationError as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "not a body of Alertmanager's version 4", errors=errors_of(error)
        ) from None
    except (ValueError, RecursionError):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is not JSON") from None


async def _take_all(intake: Intake, group: Group) -> list[Taken]:
    """Take each alert for itself; one that is bad doesn't lose the others.

    Raises:
        Problem: 503, Temporal didn't accept one of the valid ones; those it did accept are joined at the next try.

    """

    async def take(raw: dict[str, object]) -> Taken:
        try:
            alert = AlertmanagerAlert.model_validate(raw).alert(group.group_key)
        except ValidationError as error:
            return Taken("invalid", detail="; ".join(f"{e['field']}: {e['message']}" for e in errors_of(error)))
        return await intake.take(alert)

    results = await asyncio.gather(*(take(raw) for raw in group.alerts), return_exceptions=True)
    taken = []
    for result in results:
        if isinstance(result, TemporalUnavailable):
            _log.warning("Temporal did not accept an alert", why=str(result))
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Temporal does not answer: try again") from result
        if isinstance(result, BaseException):
            raise result
        taken.append(result)
    return taken
