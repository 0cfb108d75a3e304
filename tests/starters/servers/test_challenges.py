"""`runbooks challenge-server`: what is shown, until it is taken away or too old."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.certificates.challenges import HttpChallenges, Shown
from sandbox import probes
from sandbox.ports import LOOPBACK, free_port
from sandbox.processes import ServerProcess
from tests.records_schema.fixtures import effect

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

SHOWN = [Shown("a.test", "t0ken-A", "t0ken-A.print"), Shown("b.test", "t0ken-B", "t0ken-B.print")]


@contextmanager
def challenge_server(records_url: str, folder: Path) -> Iterator[httpx.Client]:
    port = free_port()
    process = ServerProcess(
        name="challenge-server",
        directory=folder,
        argv=[sys.executable, "-m", "starters", "challenge-server", "--port", str(port)],
        env={"RUNBOOKS_RECORDS__URL": records_url},
    )
    process.start()
    try:
        process.wait_ready(probes.tcp(port))
        with httpx.Client(base_url=f"http://{LOOPBACK}:{port}", trust_env=False, timeout=60) as client:
            yield client
    finally:
        process.stop()


@pytest.fixture
def challenges(records_pool: ConnectionPool[Any]) -> HttpChallenges:
    return HttpChallenges(records_pool, httpx.Client())


@pytest.fixture
def pages(records_url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    with challenge_server(records_url, tmp_path) as client:
        yield client


def ask(pages: httpx.Client, token: str) -> tuple[int, str]:
    answer = pages.get(f"/.well-known/acme-challenge/{token}")
    return answer.status_code, answer.text


def test_what_is_shown_is_there_until_it_is_taken_away(pages: httpx.Client, challenges: HttpChallenges) -> None:
    assert ask(pages, "t0ken-A") == (404, "not found")
    for _ in range(2):
        challenges.show(SHOWN, effect("show"))
    assert ask(pages, "t0ken-A") == (200, "t0ken-A.print")
    challenges.clean(SHOWN[:1], effect("clean"))
    assert ask(pages, "t0ken-A") == (404, "not found")
    assert ask(pages, "t0ken-B") == (200, "t0ken-B.print")


def test_a_plan_shows_nothing(pages: httpx.Client, challenges: HttpChallenges) -> None:
    challenges.show(SHOWN, effect("show", dry_run=True))
    assert ask(pages, "t0ken-A")[0] == 404


def test_what_a_terminated_run_has_left_ends_by_itself(
    pages: httpx.Client,
    challenges: HttpChallenges,
    records_sql: psycopg.Connection[Any],
) -> None:
    challenges.show(SHOWN[:1], effect("show"))
    records_sql.execute("UPDATE runbooks.acme_challenges SET expires_at = clock_timestamp()")
    assert ask(pages, "t0ken-A")[0] == 404
    challenges.show(SHOWN[1:], effect("show-2"))
    assert records_sql.execute("SELECT token FROM runbooks.acme_challenges").fetchall() == [("t0ken-B",)]


def test_what_we_can_not_see_ourselves_says_why(challenges: HttpChallenges) -> None:
    (told,) = challenges.hidden([Shown("nowhere.invalid", "t", "v")])
    assert told.startswith("nowhere.invalid: /.well-known/acme-challenge/… can't be asked for (")


def test_records_that_do_not_answer_are_no_missing_page(tmp_path: Path) -> None:
    with challenge_server("postgresql://nobody@127.0.0.1:1/nothing", tmp_path) as pages:
        assert ask(pages, "t0ken-A") == (503, "unavailable")
