"""The SQL function that the service asks about a presented key (runbook 8.2)."""

import hashlib
from typing import Any

import psycopg
import pytest

KEY = f"tsk_one.{hashlib.sha256(b'of these tests').hexdigest()}"


@pytest.fixture
def sql(records_sql: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    records_sql.execute(
        "INSERT INTO runbooks.tenants (tenant_id, name, tier, email) VALUES ('acme', 'Acme', 'team', 'it@acme.test')"
    )
    records_sql.execute(
        """
        INSERT INTO runbooks.api_keys (key_id, tenant_id, key_hash, workflow_id, run_id, effect_key)
        VALUES ('tsk_one', 'acme', %s, 'w', 'r', 'w/r/key')
        """,
        (hashlib.sha256(KEY.encode()).digest(),),
    )
    return records_sql


def check(sql: psycopg.Connection[Any], key: str | None) -> tuple[object, ...]:
    row = sql.execute("SELECT * FROM runbooks.check_api_key(%s)", (key,)).fetchone()
    assert row is not None
    return row


def used(sql: psycopg.Connection[Any]) -> dict[str, int]:
    return dict(sql.execute("SELECT kind, sum(count)::int FROM runbooks.tenant_usage GROUP BY kind").fetchall())


def test_the_key_is_accepted_and_its_use_counted(sql: psycopg.Connection[Any]) -> None:
    assert [check(sql, KEY) for _ in range(3)] == [("acme", "tsk_one", True, "")] * 3
    assert used(sql) == {"api_call": 3}
    assert sql.execute("SELECT last_used_at > now() - interval '1 minute' FROM runbooks.api_keys").fetchone() == (True,)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "",
        ".",
        "tsk_one",
        "tsk_one.",
        KEY[:-1],
        KEY + "0",
        KEY.upper(),
        KEY.replace("one", "two"),
        " " + KEY,
        "é.ü",
    ],
)
def test_anything_else_is_unknown_and_counted_for_nobody(sql: psycopg.Connection[Any], wrong: str | None) -> None:
    assert check(sql, wrong) == (None, None, False, "unknown")
    assert used(sql) == {}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE runbooks.api_keys SET revoked_at = now()", "revoked"),
        ("UPDATE runbooks.api_keys SET expires_at = now()", "expired"),
        ("UPDATE runbooks.tenants SET status = 'suspended'", "tenant suspended"),
    ],
)
def test_a_key_that_counts_no_more_is_refused_by_name_and_its_use_is_seen(
    sql: psycopg.Connection[Any], change: str, reason: str
) -> None:
    sql.execute(change)
    assert check(sql, KEY) == ("acme", "tsk_one", False, reason)
    assert used(sql) == {"refused_call": 1}
    assert check(sql, KEY[:-1]) == (None, None, False, "unknown"), "only who has the key is told"


def test_a_deprecated_key_works_until_its_end(sql: psycopg.Connection[Any]) -> None:
    sql.execute("UPDATE runbooks.api_keys SET expires_at = now() + interval '1 hour'")
    assert check(sql, KEY) == ("acme", "tsk_one", True, "")
    sql.execute("UPDATE runbooks.api_keys SET expires_at = clock_timestamp()")
    assert check(sql, KEY) == ("acme", "tsk_one", False, "expired")
