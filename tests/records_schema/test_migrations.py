import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from pydantic import SecretStr

import records_schema
from tests.plugins.patience import HANGS
from tests.records_schema.own_server import OwnPostgres

ROOT = Path(__file__).parents[2]
SLOW = f"SELECT pg_sleep({2 * HANGS});"
_VERSIONS = sorted(file.name[1:5] for file in (ROOT / "records_schema/migrations/versions").glob("v*.py"))
_ALL = ", ".join(_VERSIONS)


def starter(url: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "RUNBOOKS_RECORDS__URL": url, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "records_schema", *arguments],
        env=environment,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('runbooks')")
        return {row[0] for row in rows}


def test_an_empty_database_is_brought_up_to_date_once(empty_database_url: str) -> None:
    before = records_schema.status(empty_database_url)
    assert before.current is None
    assert not before.up_to_date
    assert records_schema.migrate(SecretStr(empty_database_url)) == before.pending
    after = records_schema.status(empty_database_url)
    assert after.current == after.head
    assert after.up_to_date
    assert records_schema.migrate(empty_database_url) == ()
    assert {"alerts", "incidents", "audit_log", "on_call_shifts", "messages"} <= tables(empty_database_url)


def test_every_table_says_what_it_is_for(records_sql: psycopg.Connection[Any]) -> None:
    silent = records_sql.execute(
        """
        SELECT relname FROM pg_class
        WHERE relnamespace = 'runbooks'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
          AND coalesce(obj_description(oid, 'pg_class'), '') = ''
        """
    ).fetchall()
    assert silent == []


def test_every_table_a_run_writes_to_names_the_run_and_has_its_effect_once(
    records_sql: psycopg.Connection[Any],
) -> None:
    written_by_no_run = {
        "on_call_rotations",
        "on_call_contacts",
        "on_call_shifts",
        "ci_results",
        "alembic_version",
        # The archive is about runs and written by none of them; its chain has rules of its own.
        "archive_records",
        "archive_bodies",
        "archive_heads",
        "archive_access",
        "archive_index",
        "archive_cursor",
        "archive_copies",
        "archive_failures",
        # The service writes these; of the tenants a run enters some.
        "tenants",
        "tenant_usage",
        "tenant_errors",
        "status_by_hand",
        # Of a process that follows runs; one holds a lock and writes it.
        "slack_threads",
    }
    rows = records_sql.execute(
        """
        SELECT t.relname,
               (SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = t.oid AND attnotnull),
               EXISTS (
                   SELECT FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = ANY (c.conkey)
                   WHERE c.conrelid = t.oid AND contype = 'u' AND attname = 'effect_key' AND cardinality(conkey) = 1
               )
        FROM pg_class t WHERE relnamespace = 'runbooks'::regnamespace AND relkind = 'r'
        """
    ).fetchall()
    assert len(rows) > 10
    for table, columns, unique in rows:
        if table not in written_by_no_run:
            assert {"workflow_id", "run_id", "effect_key"} <= set(columns), table
            assert unique, table


def test_no_time_is_without_its_zone(records_sql: psycopg.Connection[Any]) -> None:
    naive = records_sql.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'runbooks' AND data_type = 'timestamp without time zone'"
    ).fetchall()
    assert naive == []


def test_starters_at_the_same_moment_migrate_once(empty_database_url: str) -> None:
    starters = [starter(empty_database_url, "migrate") for _ in range(4)]
    outputs = [process.communicate(timeout=HANGS) for process in starters]
    assert [process.returncode for process in starters] == [0] * 4, outputs
    said = sorted(output for output, _ in outputs)
    assert said.count("up to date\n") == 3
    assert records_schema.status(empty_database_url).up_to_date


def test_the_lock_holds_where_everything_else_would_let_them_in(records_url: str) -> None:
    """Starters of one process are as close together as can be, and the schema exists already."""
    for _ in range(5):
        with psycopg.connect(records_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA runbooks CASCADE")
            connection.execute("CREATE SCHEMA runbooks")
        with ThreadPoolExecutor(6) as threads:
            applied = list(threads.map(lambda _: records_schema.migrate(records_url), range(6)))
        assert sorted(applied) == [(), (), (), (), (), tuple(_VERSIONS)]


@pytest.fixture
def slow_copy(tmp_path: Path) -> Path:
    """A copy of the package whose migration takes a minute in its middle."""
    source = Path(str(resources.files("records_schema")))
    for file in source.rglob("*"):
        if file.suffix in {".py", ".sql"}:
            target = tmp_path / "records_schema" / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    script = tmp_path / "records_schema" / "migrations" / "versions" / "v0001_records.sql"
    text = script.read_text()
    middle = text.index("CREATE TABLE runbooks.deployments")
    script.write_text(text[:middle] + SLOW + text[middle:])
    return tmp_path


def test_a_starter_killed_midway_leaves_nothing_and_no_lock(empty_database_url: str, slow_copy: Path) -> None:
    killed = subprocess.Popen(
        [sys.executable, "-m", "records_schema", "migrate"],
        env={**os.environ, "RUNBOOKS_RECORDS__URL": empty_database_url, "PYTHONPATH": str(slow_copy)},
        cwd=slow_copy,
    )
    with psycopg.connect(empty_database_url, autocommit=True) as watcher:
        deadline = time.monotonic() + HANGS
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        while watcher.execute(query).fetchone() != (1,):
            assert time.monotonic() < deadline
            assert killed.poll() is None
            time.sleep(0.05)
    waiting = starter(empty_database_url, "migrate")
    time.sleep(0.7)
    assert waiting.poll() is None, "the second starter must wait for the first one's lock"
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    output, errors = waiting.communicate(timeout=HANGS)  # the lock goes with the killed starter, not with its statement
    assert (waiting.returncode, output) == (0, f"applied {_ALL}\n"), errors
    assert records_schema.status(empty_database_url).up_to_date


def test_a_failing_migration_applies_nothing(empty_database_url: str, slow_copy: Path) -> None:
    script = slow_copy / "records_schema" / "migrations" / "versions" / "v0001_records.sql"
    script.write_text(script.read_text().replace(SLOW, "SELECT 1/0;"))
    environment = {**os.environ, "RUNBOOKS_RECORDS__URL": empty_database_url, "PYTHONPATH": str(slow_copy)}
    run = subprocess.run(
        [sys.executable, "-m", "records_schema", "migrate"],
        env=environment,
        cwd=slow_copy,
        text=True,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr == "migration failed, nothing was applied: division by zero (SQLSTATE 22012)\n"
    assert tables(empty_database_url) == set()
    assert records_schema.status(empty_database_url).current is None


def test_a_schema_newer_than_the_release_is_refused(records_url: str) -> None:
    with psycopg.connect(records_url) as connection:
        connection.execute("UPDATE runbooks.alembic_version SET version_num = '9999'")
    with pytest.raises(records_schema.DatabaseError, match="9999, which this release is too old to know"):
        records_schema.migrate(records_url)


def test_the_command_says_where_a_database_stands(empty_database_url: str, tmp_path: Path) -> None:
    pending = starter(empty_database_url, "status")
    assert pending.communicate(timeout=HANGS)[0] == f"at nothing, pending: {_ALL}\n"
    assert pending.returncode == 1
    secret = tmp_path / "url"
    secret.write_text(f"{empty_database_url}\n")
    migrate = starter("unused", "migrate", "--url", f"file:{secret}")
    assert migrate.communicate(timeout=HANGS)[0] == f"applied {_ALL}\n"
    done = starter(empty_database_url, "status")
    assert done.communicate(timeout=HANGS)[0] == f"at {_VERSIONS[-1]}, pending: nothing\n"
    assert done.returncode == 0


def test_it_waits_for_a_server_that_is_still_starting(own_postgres: OwnPostgres) -> None:
    process = starter(own_postgres.url(), "migrate", "--wait", f"{HANGS:.0f}")
    time.sleep(1)
    assert process.poll() is None
    own_postgres.start()
    output, errors = process.communicate(timeout=HANGS)
    assert output == f"applied {_ALL}\n", errors


def test_errors_never_show_the_password(own_postgres: OwnPostgres) -> None:
    own_postgres.start()
    url, password = own_postgres.url(), own_postgres.password
    port = str(urlsplit(url).port)
    broken = {
        url.replace(password, "hunter2secret"): "password authentication failed",
        url.replace(port, "1"): "Connection refused",
        url.replace("127.0.0.1", "ss/w:rd@127.0.0.1"): "accepted no connection",
        url.replace("postgresql://", "mysql://"): "not a PostgreSQL URL",
        url.replace(f":{port}/", ":p4ss/"): "accepted no connection",
        f"{url}_none": "does not exist",
    }
    for wrong, said in broken.items():
        with pytest.raises(records_schema.DatabaseError) as caught:
            records_schema.migrate(wrong, wait=0.3)
        assert said in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
        for secret in (password, "hunter2secret", "ss/w:rd", "p4ss"):
            assert secret not in str(caught.value)


def test_sql_is_in_the_package() -> None:
    versions = resources.files("records_schema") / "migrations" / "versions"
    names = {entry.name for entry in versions.iterdir()}
    assert {name.removesuffix(".py") for name in names if name.startswith("v0") and name.endswith(".py")} == {
        name.removesuffix(".sql") for name in names if name.endswith(".sql")
    }
