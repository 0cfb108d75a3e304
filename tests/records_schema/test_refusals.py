"""What PostgreSQL can't store is the data's fault, whoever sends it: refused at once, and never tried again."""

import re
from contextlib import suppress
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from activities.common.effects import Change
from activities.common.errors import Refused, Unavailable
from activities.database.servers.servers import failures
from activities.records.ledger import Ledger, Rows
from audit.store_connection import StoreError, StoreRefused, rows
from records_schema.ci_results import report
from records_schema.refusals import broken_rule, sentence
from records_schema.server import DatabaseError
from starters.servers.handover import application
from tests.records_schema.fixtures import effect

TABLE = "CREATE TEMPORARY TABLE held (text text UNIQUE CHECK (text <> 'no'), number smallint NOT NULL DEFAULT 1)"
BAD: list[tuple[str, Any]] = [
    ("INSERT INTO held (text) VALUES (%s)", "a\x00b"),
    ("INSERT INTO held (text) VALUES (%s)", "half \ud800"),
    ("SELECT %s::jsonb", Jsonb({"a": "b\x00"})),
    ("SELECT %s::jsonb", '{"a": "\\ud800"}'),
    ("INSERT INTO held (text) VALUES (%s)", "no"),
    ("INSERT INTO held (number) VALUES (%s::bigint)", 70_000),
    ("INSERT INTO held (number) VALUES (%s)", None),
    ("SELECT %s::timestamptz", "the day before"),
    ("DO $$ BEGIN RAISE 'a trigger of ours' ; END $$", None),
    ("INSERT INTO held (text) SELECT string_agg(md5(n::text), '') FROM generate_series(1, 20000 + length(%s)) n", "x"),
]
each = pytest.mark.parametrize(("statement", "value"), BAD, ids=range(len(BAD)))


def send(connection: Any, statement: str, value: Any) -> None:
    connection.execute(TABLE)
    connection.execute(statement, (value,) if "%s" in statement else None)


@each
def test_the_ledger_refuses_it(records_pool: ConnectionPool[Any], statement: str, value: Any) -> None:
    def work(cursor: Rows) -> Change:
        send(cursor, statement, value)
        return Change(target="t", after="a", applied=True)

    with pytest.raises(Refused) as refused:
        Ledger(records_pool).once(effect(), "try", work)
    assert refused.value.non_retryable
    assert "a\x00b" not in refused.value.message


@each
def test_a_services_server_refuses_it(records_sql: psycopg.Connection[Any], statement: str, value: Any) -> None:
    with pytest.raises(Refused), failures("primary"), records_sql.transaction():
        send(records_sql, statement, value)


@each
def test_the_archive_refuses_it(records_pool: ConnectionPool[Any], statement: str, value: Any) -> None:
    expected = StoreError if value == "no" else StoreRefused  # there, a check is the chain's: somebody was quicker
    with pytest.raises(expected), rows(records_pool, transaction=True) as cursor:
        send(cursor, statement, value)


def test_the_archives_own_checks_can_be_tried_again(records_pool: ConnectionPool[Any]) -> None:
    with pytest.raises(StoreError) as error, rows(records_pool, transaction=True) as cursor:
        send(cursor, "INSERT INTO held (text) VALUES (%s)", "no")
    assert error.value.passing


def test_a_ci_result_that_cannot_be_kept_is_refused_with_its_rule(records_url: str) -> None:
    with pytest.raises(DatabaseError, match="refuse it"):
        report(records_url, service="tensafe-server", version="v1\x00", verdict="passed", reported_by="ci")


async def test_a_handover_that_cannot_exist_is_gone(records_pool: ConnectionPool[Any]) -> None:
    transport = httpx.ASGITransport(application(records_pool))
    async with httpx.AsyncClient(transport=transport, base_url="http://handover") as http:
        for token in ("a%00b", "x" * 5000):
            assert (await http.get(f"/handover/{token}")).status_code == 410
            assert (await http.post(f"/handover/{token}")).status_code == 410


def test_a_server_that_is_away_is_no_fault_of_the_data(records_sql: psycopg.Connection[Any]) -> None:
    records_sql.execute("SET statement_timeout = 1")
    for statement in ("SELECT pg_sleep(1)", "SELECT * FROM nowhere", "SELEC"):
        with pytest.raises(psycopg.Error) as error:
            records_sql.execute(statement)
        assert broken_rule(error.value) is None
    with suppress(psycopg.Error):
        psycopg.connect("host=127.0.0.1 port=1 connect_timeout=1")
    assert broken_rule(psycopg.OperationalError("no answer")) is None
    assert broken_rule(ValueError("a mistake of ours")) is None
    with pytest.raises(Unavailable), failures("primary"):
        raise psycopg.OperationalError("no answer")


def test_no_name_of_a_constraint_reaches_people(records_sql: psycopg.Connection) -> None:
    """Each constraint and unique index of the schema has a sentence."""
    found = records_sql.execute(
        """SELECT conname, conrelid::regclass::text FROM pg_constraint WHERE connamespace = 'runbooks'::regnamespace
           UNION SELECT indexname, tablename FROM pg_indexes WHERE schemaname = 'runbooks'"""
    ).fetchall()
    assert len(found) > 50
    told = {sentence(name, table.removeprefix("runbooks.")) for name, table in found}
    plain = {re.sub("`[^`]*`", "", text) for text in told}  # a field's name is written as it is typed
    assert [
        text for text in plain if "_" in text or text.rpartition(" ")[2] in {"pkey", "fkey", "key", "check", "idx"}
    ] == []


@pytest.mark.parametrize(
    ("constraint", "table", "said"),
    [
        ("tenants_pkey", "tenants", "there is a customer of that ID already: give another one by `tenant_id`"),
        ("support_tickets_pkey", "support_tickets", "there is such a support ticket already"),
        ("blocked_addresses_pkey", "blocked_addresses", "there is such a blocked address already"),
        ("api_keys_replaces_fkey", "api_keys", "an API key would name something that isn't there"),
        ("held_text_check1", "held", "a held can't have such a value"),
        ("one_report_a_service_and_day", "daily_reports", "one report a service and day"),
    ],
)
def test_a_constraint_is_a_sentence(constraint: str, table: str, said: str) -> None:
    assert sentence(constraint, table) == said
