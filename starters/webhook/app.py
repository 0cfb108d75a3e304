"""The webhook's HTTP side.

2xx only once Temporal has accepted; 5xx when it has not, so that the sender tries again; 4xx for a fault of the sender.
"""

import time
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Lifespan

from starters.http.problems import Problem
from starters.sources.alertmanager import Group, alert_of
from starters.sources.port import Source
from starters.steering.mapping import Flaw
from starters.webhook.authentication import Authenticator
from starters.webhook.intake import Intake, Taken
from starters.webhook.metrics import CONTENT_TYPE, Metrics
from starters.webhook.receiving import addresses, come_again
from starters.webhook.storm import read_group
from starters.webhook.worst_first import worst_first
from workers.settings import WebhookSettings

_log = structlog.get_logger(__name__)
_LOGGED = 20
"""Of a large group; the answer has them all, and the counts are complete."""


def application(
    settings: WebhookSettings,
    intake: Intake,
    ready: Callable[[], Awaitable[bool]],
    lifespan: Lifespan[Starlette] | None = None,
    sources: Sequence[Source] = (),
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
            authenticator.check(request)
            group, not_taken, left = await read_group(request, settings.max_body, intake.rank)
            response: Response = _answer(await _take_all(intake, group), metrics, group.truncated, not_taken, left)
        except Problem as problem:
            response = come_again(problem).response()
        metrics.seconds.observe(time.perf_counter() - began)
        metrics.requests.labels(status=str(response.status_code)).inc()
        return response

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        if await ready():
            return JSONResponse({"status": "ready"})
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Temporal does not answer").response()

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(), media_type=CONTENT_TYPE)

    app = Starlette(
        routes=[
            Route("/webhooks/alertmanager", alertmanager, methods=["POST"]),
            *addresses(sources, settings, intake, metrics, _answer),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", exposition),
        ],
        exception_handlers={HTTPException: _refused, Exception: _failed},
        lifespan=lifespan,
    )
    # No sender follows a redirection for sure, and CloudEvents forbids it: an address with a slash too many is none.
    app.router.redirect_slashes = False
    return app


async def _take_all(intake: Intake, group: Group) -> list[Taken]:
    """Take all alerts of a post, the worst first; one that is bad doesn't lose the others."""
    taken: dict[int, Taken] = {}
    alerts = {}
    for number in worst_first(group.alerts, intake.rank):
        alert = alert_of(group.alerts[number], group)
        if isinstance(alert, Flaw):
            taken[number] = Taken("invalid", detail=alert.detail)
        else:
            alerts[number] = alert
    taken |= zip(alerts, await intake.take([*alerts.values()]), strict=True)
    return [taken[number] for number in range(len(group.alerts))]


def _answer(taken: list[Taken], metrics: Metrics, truncated: int, not_taken: str = "", left: int = 0) -> Response:
    """Tell what became of each alert: 202 where a run has one, 200 where no rule or service is there for any.

    Raises:
        Problem: 503, Temporal didn't accept a valid one; those it did accept are joined at the next try. 422, none of
            them can be taken.

    """
    counts: Counts[str] = Counts(one.outcome for one in taken)
    for outcome, count in counts.items():
        metrics.alerts.labels(outcome=outcome).inc(count)
    if truncated:
        metrics.alerts.labels(outcome="truncated").inc(truncated)
    if left:
        metrics.alerts.labels(outcome="left_out").inc(left)
    bad = counts["unavailable"] or counts["invalid"] or counts["unrouted"] or truncated or not_taken
    log = _log.warning if bad else _log.info
    log(
        "alerts taken",
        outcomes=dict(counts),
        truncated=truncated,
        not_taken=not_taken,
        runs=[one.workflow_id for one in taken if one.workflow_id][:_LOGGED],
        why=sorted({one.detail for one in taken if one.detail})[:_LOGGED],
    )
    if counts["unavailable"]:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "Temporal has not accepted all of the alerts: try again",
            headers={"Retry-After": "5"},
            alerts=[vars(one) for one in taken],
        )
    if counts["invalid"] == len(taken):
        errors = [{"field": f"alerts.{number}", "message": one.detail} for number, one in enumerate(taken)]
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "none of the alerts can be taken", errors=errors)
    answer: dict[str, Any] = {"alerts": [vars(one) for one in taken]}
    details = [not_taken] if not_taken else []
    if not_taken:
        answer["notTaken"] = left
    if truncated:
        answer["truncatedAlerts"] = truncated
        details.append(f"{truncated} alerts of this group were cut off before they were sent: set max_alerts to 0")
    if details:
        answer["detail"] = "; ".join(details)
    accepted = counts["unrouted"] + counts["invalid"] < len(taken)
    return JSONResponse(answer, status_code=HTTPStatus.ACCEPTED if accepted else HTTPStatus.OK)


async def _refused(_: Request, error: Exception) -> Response:
    """Answer 404, 405 and the like."""
    assert isinstance(error, HTTPException)
    return Problem(HTTPStatus(error.status_code), error.detail, headers=dict(error.headers or {})).response()


async def _failed(_: Request, error: Exception) -> Response:
    """Answer what nobody expected: 500, so that the sender tries again."""
    del error  # Starlette raises it again for the log
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the webhook failed: its log says why").response()
