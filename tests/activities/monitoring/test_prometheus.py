"""Queries of a real Prometheus that scrapes a real endpoint."""

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import isfinite

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from activities.common.errors import ActivityFailure, Misconfigured, RateLimited, Refused, Unavailable
from activities.monitoring.prometheus import (
    Fired,
    FiredRequest,
    Metrics,
    MetricsRequest,
    Prometheus,
    PrometheusMetrics,
    SeriesRequest,
)
from sandbox.prometheus import Prometheus as PrometheusServer
from sandbox.ready import ready
from tests.activities.contracts.serving import Misbehaviour, serving

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    async def metrics(_: Request) -> Response:
        return PlainTextResponse('errors 0.25\nby_pod{pod="a"} 1\nby_pod{pod="b"} 2\n')

    with serving(Starlette(routes=[Route("/metrics", metrics)]), Misbehaviour()) as target:
        server = PrometheusServer(
            tmp_path_factory.mktemp("prometheus"),
            targets={"test": target.removeprefix("http://")},
            rules=[{"alert": "Broken", "expr": "vector(1)", "labels": {"service": "tests", "severity": "P1"}}],
        )
        with ready(server):
            yield server.url


@pytest.fixture(scope="module")
def metrics(http: httpx.Client, url: str) -> PrometheusMetrics:
    return PrometheusMetrics(http, url)


def _value(metrics: PrometheusMetrics, query: str) -> Metrics:
    return metrics.snapshot(MetricsRequest(queries={"x": query}))


def test_a_scraped_value(metrics: PrometheusMetrics):
    deadline = time.monotonic() + 240
    while _value(metrics, "errors").values["x"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert _value(metrics, "errors") == Metrics(values={"x": 0.25})
    assert str(_value(metrics, "errors")) == "x 0.25"


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("vector(3)", 3.0),
        ("1.5", 1.5),
        ("no_such_metric", None),
        ("vector(0) / 0", None),
        ("1 / 0", None),
        ("-1 / 0", None),
        ("  vector(1)\n", 1.0),
    ],
)
def test_values(metrics: PrometheusMetrics, query: str, value: float | None):
    assert _value(metrics, query) == Metrics(values={"x": value})


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("sum(", "bad_data: "),
        ("", "bad_data: "),
        ('"text"', "gives a string, where one number is wanted"),
        ("vector(1)[5m:1m]", "gives a matrix, where one number is wanted"),
        ('vector(1) or label_replace(vector(2), "a", "b", "", "")', "gives 2 series, where one number is wanted"),
    ],
)
def test_a_query_that_gives_no_number_leaves_the_others(metrics: PrometheusMetrics, query: str, error: str):
    found = metrics.snapshot(MetricsRequest(queries={"bad": query, "good": "vector(1)"}))
    assert found.values == {"bad": None, "good": 1.0}
    assert found.errors["bad"].startswith(error)
    assert list(found.errors) == ["bad"]


def test_any_number_comes_through(metrics: PrometheusMetrics):
    @given(st.floats(allow_nan=True, allow_infinity=True))
    def comes_through(number: float) -> None:
        literal = {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}.get(str(number), repr(number))
        found = _value(metrics, f"vector({literal})")
        assert found.values["x"] == (number if isfinite(number) else None)
        assert Metrics.model_validate_json(found.model_dump_json()) == found

    comes_through()


def test_a_query_longer_than_a_url_may_be(metrics: PrometheusMetrics):
    assert _value(metrics, f"9 # {'x' * 100_000}").values["x"] == 9


def test_no_queries(metrics: PrometheusMetrics):
    assert str(metrics.snapshot(MetricsRequest(queries={}))) == "no queries configured"


def test_series(http: httpx.Client, url: str):
    end = datetime.now(UTC)
    found = Prometheus(http, url + "/").series("vector(2)", end - timedelta(minutes=1), end, timedelta(seconds=15))
    assert [(series["metric"], len(series["values"])) for series in found] == [({}, 5)]
    assert {value for _, value in found[0]["values"]} == {"2"}


def test_nobody_there(http: httpx.Client):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unavailable, match=r"Prometheus did not answer \(ConnectError\)"):
        _value(PrometheusMetrics(http, f"http://user:secret@127.0.0.1:{port}"), "1")


@pytest.fixture
def answering() -> Iterator[Callable[[Response], str]]:
    answers: list[Response] = []

    async def everything(_: Request) -> Response:
        return answers[-1]

    app = Starlette(routes=[Route("/{path:path}", everything, methods=["POST"])])
    with serving(app, Misbehaviour()) as base:

        def answer(response: Response) -> str:
            answers.append(response)
            return base

        yield answer


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (PlainTextResponse("Service Unavailable", 503), Unavailable),
        (PlainTextResponse("proxy", 502), Unavailable),
        (PlainTextResponse("<html>secret</html>", 200), Unavailable),
        (PlainTextResponse("", 401), Refused),
        (PlainTextResponse("", 404), Refused),
        (PlainTextResponse("", 429), RateLimited),
        (PlainTextResponse("", 302), Unavailable),
    ],
)
def test_answers_that_are_not_prometheus_own(
    http: httpx.Client,
    answering: Callable[[Response], str],
    response: Response,
    failure: type[ActivityFailure],
):
    with pytest.raises(ActivityFailure) as caught:
        _value(PrometheusMetrics(http, answering(response)), "1")
    assert type(caught.value) is failure
    assert caught.value.message == f"Prometheus answered {response.status_code}"


def test_a_query_that_takes_too_long_is_the_querys_fault(http: httpx.Client, answering: Callable[[Response], str]):
    body = {"status": "error", "errorType": "timeout", "error": "query timed out"}
    found = _value(PrometheusMetrics(http, answering(JSONResponse(body, 503))), "1")
    assert found == Metrics(values={"x": None}, errors={"x": "timeout: query timed out"})


def test_a_series_has_what_there_is_of_it(metrics: PrometheusMetrics) -> None:
    end = datetime.now(UTC)
    asked = SeriesRequest(query="vector(2)", start=end - timedelta(seconds=4), end=end, step=timedelta(seconds=2))
    found = metrics.series(asked)
    assert [point.value for point in found.points] == [2.0, 2.0, 2.0]
    assert abs(found.points[0].at - asked.start) <= timedelta(milliseconds=1)  # as exact as Prometheus is
    assert metrics.series(asked.model_copy(update={"query": "no_such_metric"})).points == []
    assert metrics.series(asked.model_copy(update={"query": "vector(0) / 0"})).points == []
    for query in ("errors or by_pod", "no ("):
        with pytest.raises(Misconfigured, match="a query of the settings"):
            metrics.series(asked.model_copy(update={"query": query}))


def test_alerts_that_fired_are_listed_whoever_took_them(metrics: PrometheusMetrics) -> None:
    asked = FiredRequest(matchers='service="tests"', over=timedelta(minutes=5))
    deadline = time.monotonic() + 240
    while not (found := metrics.alerts(asked).items):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert found == [Fired(name="Broken", severity="P1", firing=True)]
    assert str(found[0]) == "Broken (P1) still fires"
    assert metrics.alerts(asked.model_copy(update={"matchers": 'service="others"'})).items == []
    with pytest.raises(Misconfigured, match="the alerts of the settings"):
        metrics.alerts(asked.model_copy(update={"matchers": "service="}))


def test_figures_are_read_as_people_say_them() -> None:
    read = Metrics(values={"error_rate": 0.5417, "p95_latency": 1.914, "saturation": 1, "request_rate": 38.65})
    assert str(read) == "error rate 54.17 %, p95 latency 1.91 s, saturation 100.00 %, request rate 38.65/s"
    assert str(Metrics(values={"error_rate": None, "queue_depth": 12})) == "error rate no data, queue depth 12"
