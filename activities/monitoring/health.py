"""The service's own health endpoint (runbook 2.2 steps 5 and 6): `curl -s …/health`, `tensafe-admin health`."""

import json
import ssl
import time
from datetime import timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.heartbeat import Progress, resume, turns
from activities.common.http import read_body
from audit.text import counted
from libraries import httpx

Status = Literal["healthy", "degraded", "unhealthy", "unreachable"]

_WORDS: dict[str, Status] = {
    **dict.fromkeys(("healthy", "ok", "green", "up", "pass"), "healthy"),
    **dict.fromkeys(("degraded", "yellow", "warn"), "degraded"),
}
ANSWERS_WITHIN = timedelta(seconds=2)
"""Twice the second that Kubernetes gives a probe by default: a user has given up by then."""
_BODY_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 80


class HealthRequest(BaseModel):
    """Where to ask."""

    url: str
    timeout: timedelta | None = Field(default=None, description="As settings say where none is given.")


class Health(BaseModel):
    """One answer; not answering is an answer too."""

    status: Status
    http_status: int | None = None
    milliseconds: float
    version: str | None = None
    detail: str = ""
    certificate: bool = Field(default=False, description="Not asked, since its certificate isn't accepted.")

    @property
    def healthy(self) -> bool:
        """Whether the service says it is well."""
        return self.status == "healthy"

    def __str__(self) -> str:
        code = f" (HTTP {self.http_status})" if self.http_status else ""
        version = f", version {self.version}" if self.version else ""
        return f"{self.status}{code} in {self.milliseconds:.0f} ms{version}{', ' + self.detail if self.detail else ''}"


class SteadyRequest(HealthRequest):
    """Wait until health holds."""

    steady_for: timedelta
    give_up_after: timedelta = Field(description="From now; at least `steady_for`.")
    every: timedelta = timedelta(seconds=1)


class Steadiness(BaseModel):
    """Whether health held long enough."""

    steady: bool
    last: Health
    checks: int
    seconds: float
    longest: float = Field(description="Longest unbroken healthy stretch, seconds.")

    def __str__(self) -> str:
        if self.steady:
            return f"healthy for {self.longest:.0f} s in {counted(self.checks, 'check')}"
        return f"not steady after {self.seconds:.0f} s ({counted(self.checks, 'check')}), last: {self.last}"


class _Watched(Progress):
    """What `steady` remembers between attempts; a healthy stretch that nobody watched to its end is not resumed."""

    checks: int = 0
    longest: float = 0.0


class HealthChecks:
    """Asks health endpoints over HTTP; never fails for an unhealthy or unreachable service."""

    def __init__(self, http: "httpx.Client", timeout: timedelta = ANSWERS_WITHIN) -> None:
        """Take `timeout` from settings: how long an answer may take."""
        self._http = http
        self._timeout = timeout

    @activity.defn(name="health.check")
    def check(self, request: HealthRequest) -> Health:
        """Ask once.

        2xx is healthy unless a JSON body `{"status": …}` says otherwise; every other answer, a redirect too, is
        unhealthy. `timeout` bounds the whole exchange, and no more than 64 KiB are read.
        """
        began = time.monotonic()

        def since() -> float:
            return (time.monotonic() - began) * 1000

        limit = (request.timeout or self._timeout).total_seconds()
        try:
            with self._http.stream("GET", request.url, timeout=limit, follow_redirects=False) as answer:
                body = read_body(answer, most=_BODY_BYTES, deadline=began + limit)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = f"no answer in {limit:g} s" if isinstance(error, httpx.TimeoutException) else type(error).__name__
            if refused := _certificate(error):
                return Health(status="unreachable", milliseconds=since(), detail=refused, certificate=True)
            return Health(status="unreachable", milliseconds=since(), detail=why)
        said = _parse(body)
        return Health(
            status=_judge(answer, said),
            http_status=answer.status_code,
            milliseconds=since(),
            version=_shown(said.get("version")) or None,
            detail=_detail(answer, said),
        )

    @activity.defn(name="health.steady")
    def steady(self, request: SteadyRequest) -> Steadiness:
        """Ask again and again, heartbeating, until health has held for `steady_for` or time is up.

        An attempt that begins when the time is nearly up has `steady_for` all the same: what no worker has seen is not
        unsteady.
        """
        progress = resume(_Watched)
        healthy_since: float | None = None
        elapsed = 0.0
        last: Health | None = None
        own = min(request.steady_for, request.give_up_after)
        for elapsed in turns(progress, within=request.give_up_after, every=request.every, at_least=own):
            last = self.check(request)
            progress.checks += 1
            if not last.healthy:
                healthy_since = None
                if elapsed >= request.give_up_after.total_seconds():
                    break
                continue
            # The stretch counts from when it was seen to begin to when it was seen to hold.
            healthy_since = elapsed if healthy_since is None else healthy_since
            progress.longest = max(progress.longest, elapsed - healthy_since)
            if elapsed - healthy_since >= request.steady_for.total_seconds():
                break
        assert last is not None  # there is at least one turn
        return Steadiness(
            steady=healthy_since is not None and elapsed - healthy_since >= request.steady_for.total_seconds(),
            last=last,
            checks=progress.checks,
            seconds=elapsed,
            longest=progress.longest,
        )


def _certificate(error: BaseException) -> str:
    """Say why a certificate isn't accepted, for example that it has expired; empty where that isn't the matter."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {_shown(cause.verify_message)}"
        cause = cause.__cause__ or cause.__context__
    return ""


def _parse(body: bytes) -> dict[str, Any]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _judge(answer: "httpx.Response", said: dict[str, Any]) -> Status:
    if not answer.is_success:
        return "unhealthy"
    if not isinstance(said.get("status"), str):
        return "healthy"
    return _WORDS.get(said["status"].strip().lower(), "unhealthy")


def _detail(answer: "httpx.Response", said: dict[str, Any]) -> str:
    if answer.is_redirect:
        return "answers with a redirect: the health URL should be where it leads"
    if isinstance(said.get("status"), str):
        return "" if _judge(answer, said) == "healthy" else f"says {_shown(said['status'])!r}"
    return "the answer has no JSON status" if answer.is_success else ""


def _shown(value: object) -> str:
    """Give a text of the service's own as it may stand in history: short, printable."""
    if not isinstance(value, str | int | float):
        return ""
    return "".join(c for c in str(value) if c.isprintable())[:_SHOWN_CHARACTERS]
