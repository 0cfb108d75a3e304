"""Waiting inside an activity."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Unavailable
from activities.common.heartbeat import Progress, pause, resume, turns
from tests.activities.common.own_clock import OwnClock


class Counted(Progress):
    count: int = 0


def _wait(seconds: float, every: float = 0.05) -> Callable[[], list[float]]:
    def activity() -> list[float]:
        progress = resume(Counted)
        taken = []
        for elapsed in turns(progress, within=timedelta(seconds=seconds), every=timedelta(seconds=every)):
            progress.count += 1
            taken.append(elapsed)
        return taken

    return activity


def _environment(details: list[Any] | None = None) -> tuple[ActivityEnvironment, list[dict[str, Any]]]:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, heartbeat_details=details or [])
    beats: list[dict[str, Any]] = []
    environment.on_heartbeat = beats.append
    return environment, beats


def test_turns_come_at_the_interval_and_at_the_end(own_clock: OwnClock):
    environment, beats = _environment()
    assert environment.run(_wait(0.22)) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.22])
    assert [beat["count"] for beat in beats] == [0, 1, 2, 3, 4, 5]


def test_no_time_is_one_turn():
    environment, beats = _environment()
    assert len(environment.run(_wait(0))) == 1
    assert len(beats) == 1


def test_a_slow_turn_does_not_put_the_next_off(own_clock: OwnClock):
    def activity() -> list[float]:
        taken = []
        for elapsed in turns(Progress(), within=timedelta(seconds=0.4), every=timedelta(seconds=0.2)):
            taken.append(elapsed)
            own_clock.wait(0.1)
        return taken

    assert ActivityEnvironment().run(activity) == pytest.approx([0, 0.2, 0.4])


def test_the_next_attempt_goes_on_where_the_last_was(own_clock: OwnClock):
    started = own_clock.ago(seconds=10)
    environment, beats = _environment([{"started_at": started, "count": 41}])
    taken = environment.run(_wait(10.2))
    assert taken == pytest.approx([10, 10.05, 10.1, 10.15, 10.2])
    assert datetime.fromisoformat(beats[-1]["started_at"]) == datetime.fromisoformat(started)
    assert beats[-1]["count"] == 41 + len(taken) - 1


def test_time_over_before_the_next_attempt_is_one_turn():
    started = datetime.now(UTC) - timedelta(hours=1)
    environment, _ = _environment([{"started_at": started.isoformat()}])
    assert len(environment.run(_wait(10))) == 1


def test_however_late_an_attempt_begins_it_has_the_time_that_it_needs(own_clock: OwnClock):
    def activity() -> list[float]:
        within, every, needs = timedelta(seconds=10), timedelta(seconds=0.1), timedelta(seconds=0.3)
        return list(turns(resume(Counted), within=within, every=every, at_least=needs))

    environment, _ = _environment([{"started_at": own_clock.ago(hours=1)}])
    taken = environment.run(activity)
    assert taken[-1] - taken[0] == pytest.approx(0.3)


def test_another_workers_clock_ahead_takes_no_time_away(own_clock: OwnClock):
    environment, _ = _environment([{"started_at": own_clock.ago(minutes=-1)}])
    assert environment.run(_wait(0)) == [0]


@pytest.mark.parametrize("details", [["x"], [{"started_at": "x"}], [None], [{"count": []}]])
def test_details_of_other_code_start_afresh(own_clock: OwnClock, details: list[Any]):
    environment, _ = _environment(details)
    assert environment.run(_wait(0.1))[0] == 0


@pytest.mark.parametrize(("event", "error"), [("cancel", CancelledError), ("worker_shutdown", Unavailable)])
def test_waiting_ends_at_once(event: str, error: type[Exception]):
    environment, _ = _environment()
    threading.Timer(0.2, getattr(environment, event)).start()
    began = time.monotonic()
    with pytest.raises(error):
        environment.run(lambda: pause(60))
    assert time.monotonic() - began < 30


def test_worker_shutdown_is_worth_another_attempt():
    environment, _ = _environment()
    threading.Timer(0.1, environment.worker_shutdown).start()
    with pytest.raises(Unavailable) as caught:
        environment.run(_wait(60, 30))
    assert not caught.value.non_retryable


def test_a_pause_lasts():
    began = time.monotonic()
    ActivityEnvironment().run(lambda: pause(0.25))
    assert time.monotonic() - began >= 0.25
