"""A degraded service watched through a real Prometheus that scrapes a real endpoint, whose figures the test sets."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from temporalio.testing import ActivityEnvironment

from activities.monitoring.degradation import DegradationWatch, DegradationWatched, Limits, WatchDegradation
from activities.monitoring.figures import Figures
from tests.activities.common.own_clock import OwnClock
from tests.activities.releases.watching import WELL, Watching, running

__all__ = ["running"]

pytestmark = pytest.mark.servers

UNWELL = {"status": "unhealthy"}


@dataclass
class Degraded:
    """The service, and who watches it."""

    at: Watching
    watch: DegradationWatch

    def watched(self, environment: ActivityEnvironment | None = None, **changed: Any) -> DegradationWatched:
        request = WatchDegradation(
            error_rate="errors",
            p95_latency="p95",
            health_url=f"{self.at.release.url}/health",
            limits=Limits(error_rate=0.05, p95_latency=2.0),
            better_for=timedelta(seconds=1),
            down_for=timedelta(seconds=1),
            lasting=timedelta(seconds=2),
            every=timedelta(seconds=0.1),
        ).model_copy(update=changed)
        return (environment or ActivityEnvironment()).run(self.watch.watch, request)


@pytest.fixture
def service(running: Watching, own_clock: OwnClock) -> Iterator[Degraded]:
    running.release.health = WELL
    running.say(errors=0.01, p95=0.2)
    with httpx.Client(trust_env=False) as http:
        yield Degraded(running, DegradationWatch(http, running.prometheus.url))


def test_what_is_well_to_the_end_is_better(service: Degraded) -> None:
    found = service.watched()
    assert (found.verdict, found.why, found.blind) == ("better", "", 0)
    assert found.seconds == pytest.approx(2)
    assert found.last == Figures(error_rate=0.01, p95_latency=0.2)


def test_a_figure_beyond_its_limit_at_the_end_is_degraded(service: Degraded) -> None:
    service.at.say(errors=0.2, p95=3.0)
    found = service.watched()
    assert found.verdict == "degraded"
    assert found.why == "error rate 20.00 %, above 5.00 %; p95 3.00 s, above 2.00 s"


def test_what_is_well_only_at_the_last_moment_is_watched_longer(service: Degraded, own_clock: OwnClock) -> None:
    service.at.release.health = UNWELL
    own_clock.at(1.5, lambda: setattr(service.at.release, "health", WELL))
    found = service.watched(down_for=timedelta(seconds=30))
    assert found.verdict == "better"
    assert found.seconds == pytest.approx(2.5, abs=0.11)


def test_an_outage_ends_the_watch_at_once(service: Degraded) -> None:
    service.at.release.health = UNWELL
    found = service.watched(lasting=timedelta(seconds=30))
    assert found.verdict == "down"
    assert found.why.startswith("health unhealthy (HTTP 503)")
    assert found.seconds == pytest.approx(1, abs=0.11)


def test_without_a_value_nobody_can_say(service: Degraded) -> None:
    found = service.watched(error_rate="no_such_figure", p95_latency="no_such_figure_either")
    assert (found.verdict, found.why) == ("blind", "no value of the error rate and p95")
    assert found.blind == found.samples


def test_what_is_not_configured_is_not_watched(service: Degraded) -> None:
    found = service.watched(error_rate=None, p95_latency=None)
    assert (found.verdict, found.blind) == ("better", 0)


def test_it_ends_as_soon_as_it_is_better_where_that_is_wanted(service: Degraded) -> None:
    found = service.watched(lasting=timedelta(seconds=30), ends_when_better=True)
    assert found.verdict == "better"
    assert found.seconds == pytest.approx(1, abs=0.11)


def test_another_attempt_goes_on_and_what_nobody_saw_counts_for_nothing(service: Degraded, own_clock: OwnClock) -> None:
    environment = ActivityEnvironment()
    before = {"started_at": own_clock.ago(seconds=25), "samples": 40, "well": 0.9, "worst": {"error_rate": 0.5}}
    environment.info = replace(environment.info, heartbeat_details=[before])
    found = service.watched(environment, lasting=timedelta(seconds=26), better_for=timedelta(seconds=5))
    assert found.samples > 40
    assert found.worst.error_rate == 0.5
    assert found.verdict == "better"
    assert found.seconds >= 25 + 4, "the seconds between the two attempts are not seconds that were well"


def test_an_attempt_that_begins_after_the_end_sees_for_itself(service: Degraded, own_clock: OwnClock) -> None:
    environment = ActivityEnvironment()
    before = {"started_at": own_clock.ago(seconds=60), "samples": 40}
    environment.info = replace(environment.info, heartbeat_details=[before])
    assert service.watched(environment).verdict == "better"
