"""A program that an activity runs ends with it: asked by whoever cancels, killed where only the attempt is over."""

import os
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import CancelledError
from temporalio.testing import ActivityEnvironment

from activities.common.errors import Unavailable
from activities.common.programs import Finished, run

ENVIRONMENT = {"PATH": os.environ["PATH"]}
TIDIES = 'trap \'echo tidied >>"$0"; exit 5\' TERM; echo begun >>"$0"; while :; do sleep 0.02; done'
"""Writes into a file when it has begun, and when it is asked to end."""


def ran(*command: str, **options: Any) -> Finished:
    return in_step(ActivityEnvironment(), *command, **options)


def in_step(environment: ActivityEnvironment, *command: str, **options: Any) -> Finished:
    """Run it in an activity of the kind that takes no cancellation exception in its thread."""

    @activity.defn(no_thread_cancel_exception=True)
    def step() -> Finished:
        return run(command, environment=ENVIRONMENT, **options)

    finished: Finished = environment.run(step)
    return finished


def begun(file: Path) -> bool:
    return file.exists() and "begun" in file.read_text()


def ends_when_begun(file: Path, act: Callable[[], None]) -> Callable[[], bool]:
    """Do something once, when the program has begun."""
    once = threading.Event()

    def hopeless() -> bool:
        if begun(file) and not once.is_set():
            once.set()
            act()
        return False

    return hopeless


def test_how_it_ended_and_what_it_said_is_told() -> None:
    assert ran("sh", "-c", "echo out; echo err >&2; exit 3") == Finished(3, "out\n", "err\n")
    assert ran("sh", "-c", "kill -9 $$").code == -9
    assert ran("sh", "-c", "printf 'a\\377b'").out == "a\ufffdb"


def test_it_has_no_environment_but_its_own_and_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    assert ran("sh", "-c", 'echo "${SECRET_OF_OURS-none}"; cat').out == "none\n"


def test_its_output_may_go_into_a_file(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        assert ran("sh", "-c", "printf 'a\\377b'", into=file).out == ""
    assert (tmp_path / "out").read_bytes() == b"a\xffb"


def test_what_cannot_be_started_is_the_callers_to_judge() -> None:
    with pytest.raises(OSError, match="No such file"):
        ran("/no/such/program")


def test_whoever_cancels_lets_it_put_things_in_order(tmp_path: Path) -> None:
    file, environment = tmp_path / "said", ActivityEnvironment()
    hopeless = ends_when_begun(file, environment.cancel)
    with pytest.raises(CancelledError):
        in_step(environment, "sh", "-c", TIDIES, str(file), hopeless=hopeless)
    assert file.read_text().split() == ["begun", "tidied"]


def test_where_only_the_attempt_is_over_it_is_killed_as_by_a_crash(tmp_path: Path) -> None:
    file, environment = tmp_path / "said", ActivityEnvironment()
    over = ActivityCancellationDetails(worker_shutdown=True)
    hopeless = ends_when_begun(file, lambda: environment.cancel(over))
    with pytest.raises(Unavailable, match="another one goes on"):
        in_step(environment, "sh", "-c", TIDIES, str(file), hopeless=hopeless)
    assert file.read_text().split() == ["begun"]


def test_one_that_is_too_slow_is_killed_and_named() -> None:
    with pytest.raises(Unavailable, match="sh did not answer in "):
        ran("sh", "-c", "sleep 60", within=timedelta(milliseconds=1))


def test_where_going_on_is_of_no_use_it_is_asked_to_end(tmp_path: Path) -> None:
    file = tmp_path / "said"
    ended = ran("sh", "-c", TIDIES, str(file), hopeless=lambda: begun(file))
    assert (ended.code, ended.given_up) == (5, True)


def test_one_that_does_not_obey_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activities.common.programs._FAREWELL", 0.1)
    file = tmp_path / "said"
    deaf = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "open(sys.argv[1], 'w').write('begun'); time.sleep(60)"
    )
    ended = ran(sys.executable, "-I", "-S", "-c", deaf, str(file), hopeless=lambda: begun(file))
    assert (ended.code, ended.given_up) == (-9, True)
