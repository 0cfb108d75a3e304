"""`runbooks ci` against a real database; Temporal isn't even there."""

import getpass
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner, Result

from starters.__main__ import application
from tests.records_schema.fixtures import empty_database_url, records_sql, records_url  # noqa: F401
from tests.starters.support import settings_file
from tests.workflows.worlds.world import World

Runbooks = Callable[..., Result]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the settings anew."""

    def write(url: str, **ci: str) -> None:
        file = settings_file(tmp_path, "127.0.0.1:1", "runbooks", World(), records={"url": url}, ci=ci)
        monkeypatch.setenv("RUNBOOKS_CONFIG", str(file))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.delenv("RUNBOOKS_USER", raising=False)

    return write


@pytest.fixture
def runbooks(configured: Callable[..., None], records_url: str) -> Runbooks:  # noqa: F811
    configured(records_url)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(application(arguments), list(arguments))

    return call


def rows(sql: psycopg.Connection[Any]) -> list[tuple[str, ...]]:
    return sql.execute(
        "SELECT service, version, verdict, detail, url, reported_by FROM runbooks.ci_results ORDER BY id"
    ).fetchall()


def test_a_result_is_in_the_records(runbooks: Runbooks, records_sql: psycopg.Connection[Any]) -> None:  # noqa: F811
    told = runbooks("ci", "v1.2.4", "--status", "running")
    assert (told.exit_code, told.stderr) == (0, "")
    user = getpass.getuser()
    assert told.stdout.strip() == f"tensafe-server v1.2.4: running, reported by {user}"
    link = "https://ci.example/7"
    more = ("--service", "tensafe-server", "--detail", "2 [red]tests[/]", "--url", link, "--as", "ci-bot")
    document = json.loads(runbooks("ci", "v1.2.4", "--status", "failed", *more, "--json").stdout)
    assert document == {
        "service": "tensafe-server",
        "version": "v1.2.4",
        "status": "failed",
        "reported_by": "ci-bot",
    }
    assert rows(records_sql) == [
        ("tensafe-server", "v1.2.4", "running", "", "", user),
        ("tensafe-server", "v1.2.4", "failed", "2 [red]tests[/]", link, "ci-bot"),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["v1", "--status", "green"], "'green' is not one of"),
        (["v1"], "Missing option '--status'"),
        (["--status", "passed"], "Missing argument 'VERSION'"),
        ([" ", "--status", "passed"], "VERSION: is empty"),
        (["v1", "--status", "passed", "--service", "tensafe"], "Known services: tensafe-server"),
        (["v1", "--status", "passed", "--url", "javascript:alert(1)"], "--url: expected http(s)://"),
    ],
)
def test_wrong_arguments_report_nothing(
    runbooks: Runbooks,
    records_sql: psycopg.Connection[Any],  # noqa: F811
    arguments: list[str],
    says: str,
) -> None:
    result = runbooks("ci", *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert rows(records_sql) == []


def test_where_nobody_would_read_it_nothing_is_reported(
    runbooks: Runbooks,
    configured: Callable[..., None],
    records_url: str,  # noqa: F811
    records_sql: psycopg.Connection[Any],  # noqa: F811
) -> None:
    configured(records_url, backend="github", token="t")
    result = runbooks("ci", "v1", "--status", "passed")
    assert result.exit_code == 2
    assert "ci.backend is github" in result.stderr
    assert rows(records_sql) == []


def test_records_that_do_not_answer_are_told_without_their_password(
    runbooks: Runbooks, configured: Callable[..., None]
) -> None:
    configured("postgresql://runbooks:hunter2@127.0.0.1:1/runbooks")
    result = runbooks("ci", "v1", "--status", "passed")
    assert result.exit_code == 3
    assert "PostgreSQL at 127.0.0.1:1/runbooks accepted no connection" in result.stderr
    assert "hunter2" not in result.output


def test_an_old_schema_says_what_to_do(runbooks: Runbooks, records_sql: psycopg.Connection[Any]) -> None:  # noqa: F811
    records_sql.execute("DROP TABLE runbooks.ci_results")
    result = runbooks("ci", "v1", "--status", "passed")
    assert result.exit_code == 3
    assert "python -m records_schema migrate" in result.stderr
