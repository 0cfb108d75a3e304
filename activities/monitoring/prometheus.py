"""Prometheus, through its HTTP API (runbook 2.2 step 10, 2.3 step 3)."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.errors import Misconfigured, RateLimited, Refused, Unavailable, unavailable
from audit.text import counted
from audit.wording import called, figure
from libraries import httpx

_SYSTEM = "Prometheus"
_TIMEOUT = (2.0, 5.0, 5.0, 5.0)
"""Seconds to connect, read, write, and to wait for a free connection."""

_ERROR_CHARACTERS = 300


class MetricsRequest(BaseModel):
    """PromQL by name."""

    queries: dict[str, str]


class Metrics(BaseModel):
    """The value of each query now; None where Prometheus has no data, NaN or an infinity."""

    values: dict[str, float | None]
    errors: dict[str, str] = Field(default_factory=dict, description="Queries that Prometheus refused.")

    def __str__(self) -> str:
        return ", ".join(_shown(name, value) for name, value in self.values.items()) or "no queries configured"


def _shown(name: str, value: float | None) -> str:
    return f"{called(name)} {'no data' if value is None else figure(name, value)}"


class SeriesRequest(BaseModel):
    """One query over a time, for a chart."""

    query: str
    start: datetime
    end: datetime
    step: timedelta


class Point(BaseModel):
    """One value."""

    at: datetime
    value: float


class Series(BaseModel):
    """The values that Prometheus has; a gap is where it has none."""

    points: list[Point]

    def __str__(self) -> str:
        return f"{counted(len(self.points), 'value')}" if self.points else "no data"


class FiredRequest(BaseModel):
    """Which alerts fired lately."""

    matchers: str = Field(description='Of ALERTS, e.g. service="tensafe-server".')
    over: timedelta


class Fired(BaseModel):
    """One alert of Prometheus'."""

    name: str
    severity: str
    firing: bool = Field(description="Now; else it has ended.")

    def __str__(self) -> str:
        return f"{self.name}{f' ({self.severity})' if self.severity else ''}{' still fires' if self.firing else ''}"


class FiredAlerts(BaseModel):
    """Those that fired, the most severe first."""

    items: list[Fired]

    def __str__(self) -> str:
        return ", ".join(map(str, self.items)) or "no alerts"


class QueryError(Exception):
    """Prometheus understood and refused a query, or its answer isn't one number; the text is Prometheus' own."""


class Prometheus:
    """Its query API.

    Raises from every method: `QueryError`, `Unavailable` (no connection, 5xx), `RateLimited` (429), `Refused` (other
    4xx).
    """

    def __init__(self, http: "httpx.Client", url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")

    def value(self, query: str) -> float | None:
        """Evaluate an instant query that gives a scalar or a vector of at most one."""
        data = self._ask("query", {"query": query})
        kind, result = data["resultType"], data["result"]
        if kind == "vector":
            if len(result) > 1:
                raise QueryError(f"gives {len(result)} series, where one number is wanted")
            if not result:
                return None
            if "value" not in result[0]:
                raise QueryError("gives a histogram, where one number is wanted")
            number = float(result[0]["value"][1])
        elif kind == "scalar":
            number = float(result[1])
        else:
            raise QueryError(f"gives a {kind}, where one number is wanted")
        return number if math.isfinite(number) else None

    def series(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[dict[str, Any]]:
        """Evaluate a range query; series as Prometheus gives them (`metric`, `values` of [seconds, text])."""
        data = self._ask(
            "query_range",
            {
                "query": query,
                "start": f"{start.timestamp():.3f}",
                "end": f"{end.timestamp():.3f}",
                "step": f"{step.total_seconds():g}",
            },
        )
        result: list[dict[str, Any]] = data["result"]
        return result

    def vector(self, query: str) -> list[dict[str, Any]]:
        """Evaluate an instant query that gives a vector: `metric` and `value` of each."""
        result: list[dict[str, Any]] = self._ask("query", {"query": query})["result"]
        return result

    def _ask(self, path: str, form: Mapping[str, str]) -> dict[str, Any]:
        try:
            # By POST, since a query may be longer than a URL may be.
            answer = self._http.post(f"{self._url}/api/v1/{path}", data=dict(form), timeout=_TIMEOUT)
            parsed = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            unavailable(_SYSTEM, error)
        except ValueError:
            parsed = None
        if isinstance(parsed, dict) and parsed.get("status") == "success":
            data: dict[str, Any] = parsed["data"]
            return data
        if isinstance(parsed, dict) and "errorType" in parsed:
            raise QueryError(f"{parsed['errorType']}: {parsed.get('error', '')}"[:_ERROR_CHARACTERS])
        message = f"{_SYSTEM} answered {answer.status_code}"
        if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise RateLimited(message)
        if answer.is_client_error:
            raise Refused(message)
        raise Unavailable(message)


class PrometheusMetrics:
    """Reads Prometheus; raises `Unavailable` when it doesn't answer."""

    def __init__(self, http: "httpx.Client", url: str) -> None:
        self._prometheus = Prometheus(http, url)

    @activity.defn(name="metrics.snapshot")
    def snapshot(self, request: MetricsRequest) -> Metrics:
        """`tensafe-admin metrics get`: instant queries; one that Prometheus refuses leaves the others alone."""
        found = Metrics(values={})
        for name, query in request.queries.items():
            try:
                found.values[name] = self._prometheus.value(query)
            except QueryError as error:
                found.values[name] = None
                found.errors[name] = str(error)
        return found

    @activity.defn(name="metrics.series")
    def series(self, request: SeriesRequest) -> Series:
        """Evaluate a range query that gives one series at most.

        Raises:
            Misconfigured: Prometheus refuses the query, or it gives several series.

        """
        try:
            found = self._prometheus.series(request.query, request.start, request.end, request.step)
        except QueryError as error:
            raise Misconfigured(f"a query of the settings: {error}") from None
        if len(found) > 1:
            raise Misconfigured(f"a query of the settings gives {len(found)} series, where one is wanted")
        values = [(float(at), float(text)) for at, text in (found[0]["values"] if found else ())]
        return Series(
            points=[
                Point(at=datetime.fromtimestamp(at, UTC), value=value) for at, value in values if math.isfinite(value)
            ]
        )

    @activity.defn(name="metrics.alerts")
    def alerts(self, request: FiredRequest) -> FiredAlerts:
        """List the alerts that fired at any time of a stretch until now (1.1 step 2), whoever took them.

        Raises:
            Misconfigured: Prometheus refuses the matchers of the settings.

        """
        alerts = f'ALERTS{{alertstate="firing",{request.matchers}}}'
        by = "max by (alertname, severity)"
        try:
            lately = self._prometheus.vector(f"{by} (max_over_time({alerts}[{request.over.total_seconds():.0f}s]))")
            now = self._prometheus.vector(f"{by} ({alerts})")
        except QueryError as error:
            raise Misconfigured(f"the alerts of the settings: {error}") from None
        firing = {_alert(one) for one in now}
        every = sorted({_alert(one) for one in lately} | firing, key=lambda one: (one[1] or "P9", one[0]))
        return FiredAlerts(
            items=[Fired(name=name, severity=severity, firing=(name, severity) in firing) for name, severity in every]
        )


def _alert(found: Mapping[str, Any]) -> tuple[str, str]:
    labels = found["metric"]
    return str(labels.get("alertname", "")), str(labels.get("severity", ""))
