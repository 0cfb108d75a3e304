"""A release watched through a real Prometheus that scrapes a real endpoint, whose figures the test sets."""

import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Misconfigured, Unavailable
from activities.monitoring.figures import Figures
from activities.releases.watch import BaselineRequest, ReleaseWatch, Watched
from tests.activities.common.own_clock import OwnClock
from tests.activities.contracts.serving import Misbehaviour, serving
from tests.activities.kubernetes.on_cluster import eventually
from tests.activities.releases.watching import (
    USUAL,
    WELL,
    Watching,
    running,  # noqa: F401
)

pytestmark = pytest.mark.servers


@pytest.fixture
def watching(running: Watching, own_clock: OwnClock) -> Watching:  # noqa: F811
    running.release.health = WELL
    running.say(errors=0.001, p95=0.2)
    return running


def watched(watching: Watching, environment: ActivityEnvironment | None = None, **changed: Any) -> Watched:
    return (environment or ActivityEnvironment()).run(watching.watch.watch, watching.request(**changed))


# -- the watch ------------------------------------------------------------------------------------------------------


def test_a_good_release_is_watched_to_the_end(watching: Watching) -> None:
    found = watched(watching)
    assert (found.breach, found.unsettled, found.blind) == ("", "", 0)
    assert found.samples == 21
    assert found.seconds == pytest.approx(2)
    assert found.worst == USUAL
    assert str(found) == f"no breach; {found.samples} samples in 2 s; worst: error rate 0.10 %, p95 200 ms"


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({"errors": 0.03, "p95": 0.2}, "error rate 3.00 %, above 2.10 % (0.10 % is usual) for 1 s"),
        ({"errors": 0.001, "p95": 1.25}, "p95 1.25 s, above 300 ms (200 ms is usual) for 1 s"),
    ],
)
def test_a_breach_ends_it(watching: Watching, figures: dict[str, float], says: str) -> None:
    watching.say(**figures)
    found = watched(watching, lasting=timedelta(seconds=30))
    assert found.breach == says
    assert found.seconds == pytest.approx(1, abs=0.11)
    assert found.worst == Figures(error_rate=figures["errors"], p95_latency=figures["p95"])
    assert str(found).startswith(f"{says}; ")


def test_figures_at_their_limits_are_no_breach(watching: Watching) -> None:
    watching.say(errors=0.021, p95=0.3)
    assert watched(watching, breach_for=timedelta(0)).breach == ""


@pytest.mark.parametrize(
    ("health", "says"), [({"status": "red"}, "health unhealthy (HTTP 503)"), (None, "health unreachable in ")]
)
def test_an_unhealthy_or_unreachable_service_is_a_breach(
    watching: Watching, health: dict[str, str] | None, says: str
) -> None:
    changed: dict[str, Any] = {}
    if health is None:
        changed["health_url"] = f"http://127.0.0.1:{nobody()}/health"
    else:
        watching.release.health = health
    found = watched(watching, lasting=timedelta(seconds=30), **changed)
    assert found.breach.startswith(says)
    assert found.seconds == pytest.approx(1, abs=0.11)


def test_a_degraded_service_is_not_a_breach(watching: Watching) -> None:
    app = Starlette(routes=[Route("/health", lambda _: JSONResponse({"status": "degraded"}))])
    with serving(app, Misbehaviour()) as url:
        assert watched(watching, health_url=f"{url}/health", breach_for=timedelta(0)).breach == ""


def test_a_short_spike_does_not_count(watching: Watching, own_clock: OwnClock) -> None:
    watching.say(errors=0.5, p95=0.2)
    own_clock.at(0.3, lambda: watching.say(errors=0.001, p95=0.2))
    found = watched(watching, breach_for=timedelta(seconds=2), lasting=timedelta(seconds=3.5))
    assert (found.breach, found.unsettled) == ("", "")
    assert found.worst.error_rate == 0.5


def test_two_spikes_are_not_one_breach(watching: Watching, own_clock: OwnClock) -> None:
    watching.release.health = {"status": "red"}

    def set_health(health: dict[str, str]) -> Callable[[], None]:
        return lambda: setattr(watching.release, "health", health)

    own_clock.at(0.7, set_health(WELL))
    own_clock.at(1.0, set_health({"status": "red"}))
    own_clock.at(1.7, set_health(WELL))
    assert watched(watching, lasting=timedelta(seconds=2.2)).breach == ""


def test_what_is_beyond_at_the_end_is_told_though_it_is_no_breach(watching: Watching) -> None:
    watching.say(errors=0.5, p95=0.2)
    found = watched(watching, breach_for=timedelta(minutes=1))
    assert found.breach == ""
    assert found.unsettled == "error rate 50.00 %, above 2.10 % (0.10 % is usual) for 2 s"
    assert str(found).startswith("no breach, but at the end error rate 50.00 %")


@pytest.mark.parametrize(("breach_for", "breached"), [(0, True), (1, False)])
def test_no_time_is_one_sample(watching: Watching, breach_for: float, *, breached: bool) -> None:
    watching.say(errors=0.5, p95=0.2)
    found = watched(watching, lasting=timedelta(0), breach_for=timedelta(seconds=breach_for))
    assert found.samples == 1
    assert bool(found.breach) is breached


def test_without_a_baseline_errors_count_from_zero_and_latency_is_not_judged(watching: Watching) -> None:
    watching.say(errors=0.015, p95=50)
    unknown: dict[str, Any] = {"baseline": Figures(), "breach_for": timedelta(0)}
    found = watched(watching, **unknown)
    assert (found.breach, found.blind) == ("", 0)
    assert found.worst.p95_latency == 50
    assert str(found).endswith("p95 50.00 s; p95 was not judged, since there is none from before to compare it with")
    assert watched(watching, **{**unknown, "p95_latency": None}).remarks == []
    watching.say(errors=0.025, p95=50)
    assert watched(watching, **unknown).breach.startswith("error rate 2.50 %, above 2.00 % for")


def test_errors_from_before_are_no_breach_and_told(watching: Watching) -> None:
    watching.say(errors=0.31, p95=0.2)
    found = watched(watching, baseline=Figures(error_rate=0.3, p95_latency=0.2), lasting=timedelta(0))
    assert (found.breach, found.unsettled) == ("", "")
    assert str(found).endswith("worst: error rate 31.00 %, p95 200 ms; error rate was 30.00 % before it already")


def test_what_has_no_query_is_not_watched(watching: Watching) -> None:
    watching.say(errors=0.5, p95=50)
    found = watched(watching, error_rate=None, p95_latency=None, breach_for=timedelta(0), lasting=timedelta(0))
    assert (found.breach, found.blind, found.worst) == ("", 0, Figures())
    assert str(found) == "no breach; 1 sample in 0 s; worst: error rate no data, p95 no data"


# -- what is not seen -----------------------------------------------------------------------------------------------


def test_samples_without_a_value_are_blind(watching: Watching) -> None:
    watching.say(p95=0.2)
    found = watched(watching, lasting=timedelta(seconds=0.7))
    assert found.blind == found.samples
    assert f"{found.samples} samples in 1 s, {found.samples} of them blind; worst: error rate no data" in str(found)
    assert found.why_blind == ""
    refused = watched(watching, error_rate="sum(", lasting=timedelta(0))
    assert (refused.blind, refused.why_blind[:30]) == (1, "the query of error_rate: bad_d")
    several = watched(watching, error_rate='vector(1) or label_replace(vector(2), "a", "b", "", "")')
    assert "blind (the query of error_rate: gives 2 series, where one number is wanted); worst" in str(several)
    assert watched(watching, error_rate="0 / 0", lasting=timedelta(0)).blind == 1


def nobody() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_a_prometheus_that_is_away_is_blindness_and_no_error(watching: Watching) -> None:
    with httpx.Client(trust_env=False) as http:
        away = ReleaseWatch(http, f"http://127.0.0.1:{nobody()}")
        found = ActivityEnvironment().run(away.watch, watching.request(lasting=timedelta(seconds=0.5)))
        assert (found.breach, found.blind) == ("", found.samples)
        assert "Prometheus" in found.why_blind
        watching.release.health = {"status": "red"}
        request = watching.request(lasting=timedelta(seconds=30))
        assert ActivityEnvironment().run(away.watch, request).breach.startswith("health unhealthy")


def test_blindness_neither_ends_a_breach_nor_counts_towards_it(watching: Watching, own_clock: OwnClock) -> None:
    """Beyond for 0.8 s, blind for 3 s, beyond again: a breach of 2.5 s needs 1.7 s more, and comes after some 5.5 s."""
    watching.say(errors=0.5, p95=0.2)
    own_clock.at(0.8, lambda: watching.say(p95=0.2))
    own_clock.at(3.8, lambda: watching.say(errors=0.5, p95=0.2))
    found = watched(watching, breach_for=timedelta(seconds=2.5), lasting=timedelta(seconds=20))
    assert found.blind == pytest.approx(30, abs=1)
    assert found.breach.startswith("error rate 50.00 %")
    assert found.seconds == pytest.approx(5.5, abs=0.21)


# -- attempts -------------------------------------------------------------------------------------------------------


def resumed(**details: Any) -> tuple[ActivityEnvironment, list[dict[str, Any]]]:
    beats: list[Any] = []
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_details=[details])
    environment.on_heartbeat = beats.append
    return environment, beats


def test_the_next_attempt_goes_on_where_the_last_was(watching: Watching, own_clock: OwnClock) -> None:
    beats: list[Any] = []
    first = ActivityEnvironment()
    first.on_heartbeat = beats.append
    watching.say(errors=0.5, p95=0.7)
    own_clock.at(0.7, first.worker_shutdown)
    with pytest.raises(Unavailable, match="shutting down"):
        watched(watching, first, breach_for=timedelta(seconds=1.2), lasting=timedelta(seconds=30))
    left = beats[-1]
    assert left["beyond"]["error rate"] == pytest.approx(0.6, abs=0.11)
    second, _ = resumed(**left)
    began = own_clock.seconds
    found = watched(watching, second, breach_for=timedelta(seconds=1.2), lasting=timedelta(seconds=30))
    assert own_clock.seconds - began == pytest.approx(0.6, abs=0.11), "what the first attempt saw counts"
    assert found.samples > left["samples"]
    assert found.worst == Figures(error_rate=0.5, p95_latency=0.7)


def test_an_attempt_after_the_time_is_over_takes_one_look(watching: Watching, own_clock: OwnClock) -> None:
    begun = own_clock.ago(hours=1)
    worst = {"error_rate": 0.4, "p95_latency": None}
    environment, beats = resumed(started_at=begun, samples=41, blind=3, worst=worst, beyond={})
    found = watched(watching, environment)
    assert (found.samples, found.blind, len(beats)) == (42, 3, 1)
    assert found.worst == Figures(error_rate=0.4, p95_latency=0.2)


def test_time_between_attempts_does_not_count(watching: Watching, own_clock: OwnClock) -> None:
    watching.say(errors=0.5, p95=0.2)
    begun = own_clock.ago(minutes=10)
    environment, _ = resumed(started_at=begun, beyond={"error rate": 5.0})
    found = watched(watching, environment, breach_for=timedelta(seconds=60), lasting=timedelta(minutes=10, seconds=1))
    assert found.breach == ""
    assert found.unsettled.endswith("for 6 s")


def test_it_can_be_cancelled(watching: Watching, own_clock: OwnClock) -> None:
    environment = ActivityEnvironment()
    own_clock.at(0.3, environment.cancel)
    with pytest.raises(CancelledError):
        watched(watching, environment, lasting=timedelta(minutes=5), every=timedelta(minutes=1))
    assert own_clock.seconds < 1


# -- the baseline ---------------------------------------------------------------------------------------------------


def baseline(watching: Watching, error_rate: str | None, p95: str | None = None, seconds: float = 60) -> Figures:
    request = BaselineRequest(error_rate=error_rate, p95_latency=p95, over=timedelta(seconds=seconds))
    return ActivityEnvironment().run(watching.watch.baseline, request)


def test_the_baseline_is_an_average(watching: Watching) -> None:
    eventually(lambda: baseline(watching, "errors", "p95", seconds=1) == USUAL)
    begun = time.monotonic()
    watching.say(errors=0.101, p95=0.4)

    def between() -> bool:
        """Tell of a look that has both in it: what comes late to Prometheus has the new figures alone."""
        found = baseline(watching, "errors", "p95", seconds=time.monotonic() - begun + 1)
        assert found.error_rate is not None
        assert found.p95_latency is not None
        return 0.001 < found.error_rate < 0.101 and 0.2 < found.p95_latency < 0.4

    eventually(between)


@pytest.mark.parametrize(
    ("query", "usual"),
    [
        (None, None),
        ("0.25", 0.25),
        ("vector(0.25) # per second", 0.25),
        ("no_such_metric", None),
        ("0 / 0", None),
        ("vector(1) / 0", None),
    ],
)
def test_baselines(watching: Watching, query: str | None, usual: float | None) -> None:
    assert baseline(watching, query) == Figures(error_rate=usual)


def test_moments_without_requests_do_not_spoil_the_baseline(watching: Watching) -> None:
    every_other = "vector(0.5) / (floor(vector(time())) % 2)"  # an infinity every other second
    assert baseline(watching, every_other, seconds=20) == Figures(error_rate=0.5)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sum(", "the query of p95_latency: bad_data"),
        ('vector(1) or label_replace(vector(2), "a", "b", "", "")', "gives several series, where one number is wanted"),
    ],
)
def test_a_query_that_gives_no_number_is_told(watching: Watching, query: str, says: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        baseline(watching, "errors", query)
    assert says in caught.value.message


def test_without_prometheus_there_is_no_baseline() -> None:
    request = BaselineRequest(error_rate="errors", p95_latency=None, over=timedelta(minutes=1))
    with httpx.Client(trust_env=False) as http, pytest.raises(Unavailable, match="Prometheus did not answer"):
        ActivityEnvironment().run(ReleaseWatch(http, f"http://127.0.0.1:{nobody()}").baseline, request)


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        (Figures(error_rate=0.001, p95_latency=0.041), "error rate 0.10 %, p95 41 ms"),
        (Figures(error_rate=1, p95_latency=12.345), "error rate 100.00 %, p95 12.35 s"),
        (Figures(error_rate=0, p95_latency=0.0004), "error rate 0.00 %, p95 0.4 ms"),
        (Figures(), "error rate no data, p95 no data"),
    ],
)
def test_figures_as_people_read_them(figures: Figures, text: str) -> None:
    assert str(figures) == text
