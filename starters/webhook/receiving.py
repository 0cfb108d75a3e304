"""The addresses of the sources: one way from a post to its answer, whoever sends, in the words of that sender."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from activities.records.alerts import Alert
from starters.http.body import expect_plain, read_body
from starters.http.problems import Problem
from starters.sources.port import Post, Said, Source, Unauthentic, Unreadable, Unsure
from starters.sources.rate import Rate
from starters.steering.mapping import Flaw, Ignored
from starters.webhook.intake import Intake, Taken
from starters.webhook.metrics import Metrics
from workers.settings import WebhookSettings

_log = structlog.get_logger(__name__)
_LATER = {"Retry-After": "5"}

Answer = Callable[[list[Taken], Metrics, int], Response]
"""What became of alerts, as an answer; raises a Problem where none could be taken."""


class Receiver:
    """One source's address."""

    def __init__(
        self, source: Source, settings: WebhookSettings, intake: Intake, metrics: Metrics, answer: Answer
    ) -> None:
        self._source = source
        limits = settings.sources[source.name]
        self._max_body = min(limits.max_body, settings.max_body)
        self._rate = Rate(limits.rate)
        self._intake = intake
        self._metrics = metrics
        self._answer = answer
        self._going_on: set[asyncio.Task[list[Taken]]] = set()
        """What goes on though its sender has been answered: a task that nobody holds may be thrown away."""

    @property
    def route(self) -> Route:
        """Its address."""
        return Route(f"/webhooks/{self._source.name}", self.receive, methods=["POST", "OPTIONS"])

    async def receive(self, request: Request) -> Response:
        """Take a post, or answer a sender that asks whether it may send."""
        began = time.perf_counter()
        if request.method == "OPTIONS":
            allowed = self._source.may_send(request.headers)
            if allowed is None:
                return Problem(
                    HTTPStatus.METHOD_NOT_ALLOWED, "send alerts by POST", headers={"Allow": "POST"}
                ).response()
            return Response(status_code=HTTPStatus.OK, headers={**allowed, "Allow": "POST"})
        with structlog.contextvars.bound_contextvars(source=self._source.name):
            try:
                response = await self._received(request, began)
            except Problem as problem:
                response = come_again(problem).response()
        self._metrics.seconds.observe(time.perf_counter() - began)
        self._metrics.requests.labels(status=str(response.status_code)).inc()
        return response

    async def _received(self, request: Request, began: float) -> Response:
        manners = self._source.manners
        sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if sent not in manners.media:
            known = " or ".join(sorted(manners.media))
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {known}, by its Content-Type")
        expect_plain(request)
        body = await read_body(request, self._max_body)
        post = Post(_headers(request), body, datetime.now(UTC))
        await self._checked(post)
        # Behind the check, so that strangers can't use up what the sender may send.
        if not self._rate.take():
            wait = {"Retry-After": str(self._rate.wait)}
            raise Problem(manners.too_many, "more than this source may send: try again later", headers=wait)
        try:
            said = self._source.read(post)
        except Unreadable as error:
            self._metrics.alerts.labels(outcome="invalid").inc()
            _log.warning("a post can't be read", why=str(error))
            return self._refused(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}"), manners.unreadable)
        if said.confirm and not await self._source.confirm(said.confirm):
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the confirmation did not succeed", headers=_LATER)
        within = None if manners.within is None else manners.within.total_seconds() - (time.perf_counter() - began)
        return await self._answered(said, within)

    async def _checked(self, post: Post) -> None:
        try:
            await self._source.check(post)
        except Unauthentic as error:
            _log.warning("a post is not by its source", why=str(error))
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                str(error),
                headers={"WWW-Authenticate": f'Webhook realm="{self._source.name}"'},
            ) from None
        except Unsure as error:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=_LATER) from None

    async def _answered(self, said: Said, within: float | None) -> Response:
        ignored = [item for item in said.items if isinstance(item, Ignored)]
        if ignored:
            self._metrics.alerts.labels(outcome="ignored").inc(len(ignored))
        alerts = [item for item in said.items if isinstance(item, Alert)]
        taken = iter(await self._taken(alerts, within))
        told = [_told(item, taken) for item in said.items if not isinstance(item, Ignored)]
        if not told:
            why = "; ".join(sorted({item.why for item in ignored})) or "it says nothing"
            _log.info("nothing fires and nothing ends", why=why)
            return JSONResponse({"alerts": [], "detail": why})
        try:
            return self._answer(told, self._metrics, 0)
        except Problem as problem:
            return self._refused(problem)

    async def _taken(self, alerts: Sequence[Alert], within: float | None) -> list[Taken]:
        """Have them taken; what isn't in time goes on, and its sender is told to come again."""
        if not alerts:
            return []
        if within is None:
            return await self._intake.take(alerts)
        taking = asyncio.create_task(self._intake.take(alerts))
        self._going_on.add(taking)
        taking.add_done_callback(self._going_on.discard)
        done, _ = await asyncio.wait({taking}, timeout=within)
        if not done:
            late = Taken("unavailable", detail="not accepted in the time that its sender waits; it goes on")
            return [late] * len(alerts)
        return taking.result()

    def _refused(self, problem: Problem, status: HTTPStatus = HTTPStatus.UNPROCESSABLE_ENTITY) -> Response:
        """Answer what will never be taken as its sender needs it."""
        refused = self._source.manners.refused
        if problem.status is not HTTPStatus.UNPROCESSABLE_ENTITY:
            return problem.response()
        if refused is HTTPStatus.UNPROCESSABLE_ENTITY:
            return Problem(status, problem.detail, headers=problem.headers, **problem.more).response()
        return JSONResponse({"detail": problem.detail, **problem.more}, status_code=refused)


def come_again(problem: Problem) -> Problem:
    """Give what a sender is told: none tries again after 408, though a slow way is all that is wrong."""
    if problem.status is not HTTPStatus.REQUEST_TIMEOUT:
        return problem
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, problem.detail, headers=_LATER)


def _headers(request: Request) -> dict[str, str]:
    """Give the headers; one on several lines is a list (RFC 9110, 5.2)."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _told(item: Alert | Flaw | Ignored, taken: Iterator[Taken]) -> Taken:
    return Taken("invalid", detail=item.detail) if isinstance(item, Flaw) else next(taken)


def addresses(
    sources: Sequence[Source], settings: WebhookSettings, intake: Intake, metrics: Metrics, answer: Answer
) -> list[Route]:
    """Give the addresses of all sources."""
    return [Receiver(source, settings, intake, metrics, answer).route for source in sources]
