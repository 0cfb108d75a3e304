from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from temporalio.testing import ActivityEnvironment

from activities.common.effects import Change
from activities.common.errors import Refused, Unavailable
from activities.records.activities import Records
from activities.records.incident_view import IncidentRequest
from tests.activities.records.told import (
    NOW,
    acknowledge,
    close,
    create,
    deployment,
    mark,
    note,
    post_mortem,
    relapse,
    resolve,
)
from tests.records_schema.fixtures import count

# Each effect, what it needs to be there before, and the table it writes to.
EFFECTS: list[tuple[str, Any, str]] = [
    ("acknowledge_alert", acknowledge, "alerts"),
    ("resolve_alert", resolve, "alerts"),
    ("create_incident", create, "incidents"),
    ("note_incident", note, "incident_notes"),
    ("mark_incident", lambda **plan: mark("mark", "mitigated", **plan), "incidents"),
    ("relapse_incident", relapse, "incident_relapses"),
    ("close_incident", close, "incidents"),
    ("schedule_post_mortem", post_mortem, "post_mortems"),
    ("record_deployment", lambda **plan: deployment("started", "deploy", **plan), "deployments"),
]
each_effect = pytest.mark.parametrize(("method", "request_of", "table"), EFFECTS, ids=[name for name, _, _ in EFFECTS])


def prepare(records: Records, method: str) -> None:
    """Do what must be there before an effect."""
    if method in {"note_incident", "mark_incident", "relapse_incident", "close_incident", "schedule_post_mortem"}:
        records.create_incident(create("before"))
    if method == "resolve_alert":
        records.acknowledge_alert(acknowledge("before"))


def everything(sql: psycopg.Connection[Any]) -> list[Any]:
    tables = ["alerts", "incidents", "incident_relapses", "incident_notes", "post_mortems", "deployments", "audit_log"]
    return [sql.execute(f"SELECT * FROM runbooks.{table} ORDER BY 1").fetchall() for table in tables]


@each_effect
def test_done_twice_is_done_once(
    records: Records, records_sql: psycopg.Connection[Any], method: str, request_of: Any, table: str
) -> None:
    prepare(records, method)
    lines = count(records_sql, "audit_log")
    first: Change = getattr(records, method)(request_of())
    assert first.applied
    assert count(records_sql, "audit_log") == lines + 1
    after_first = everything(records_sql)
    second: Change = getattr(records, method)(request_of())
    assert not second.applied
    assert second.model_copy(update={"applied": True}) == first
    assert everything(records_sql) == after_first
    assert count(records_sql, table) == 1


@each_effect
def test_eight_attempts_at_once_are_one(
    records: Records, records_sql: psycopg.Connection[Any], method: str, request_of: Any, table: str
) -> None:
    prepare(records, method)
    lines = count(records_sql, "audit_log")
    with ThreadPoolExecutor(8) as threads:
        changes = list(threads.map(lambda _: getattr(records, method)(request_of()), range(8)))
    assert sorted(change.applied for change in changes) == [False] * 7 + [True]
    assert len({str(change) for change in changes}) == 1
    assert count(records_sql, table) == 1
    assert count(records_sql, "audit_log") == lines + 1


@each_effect
def test_a_plan_leaves_nothing_and_says_the_same(
    records: Records, records_sql: psycopg.Connection[Any], method: str, request_of: Any, table: str
) -> None:
    prepare(records, method)
    before = everything(records_sql)
    planned: Change = getattr(records, method)(request_of(dry_run=True))
    assert not planned.applied
    assert everything(records_sql) == before
    done: Change = getattr(records, method)(request_of())
    assert planned.model_copy(update={"applied": True}) == done


@each_effect
def test_a_plan_works_where_what_came_before_was_only_planned(
    records: Records, records_sql: psycopg.Connection[Any], method: str, request_of: Any, table: str
) -> None:
    change = getattr(records, method)(request_of(dry_run=True))
    assert not change.applied
    assert change.after
    assert not any(everything(records_sql))


@each_effect
def test_it_runs_as_an_activity(records: Records, method: str, request_of: Any, table: str) -> None:
    prepare(records, method)
    assert ActivityEnvironment().run(getattr(records, method), request_of()).applied


def test_the_audit_log_has_who_what_and_when(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    records.create_incident(create())
    records.close_incident(close())
    rows = records_sql.execute(
        """
        SELECT actor, workflow_id, run_id, effect_key, action, target, before, after, note,
               at > now() - interval '1 min'
        FROM runbooks.audit_log ORDER BY id
        """
    ).fetchall()
    run = ("ada", "wf-1", "run-1")
    assert rows == [
        (*run, "wf-1/run-1/create", "incident.create", "incident/INC-1", "", "open (P1, grace)", "", True),
        (*run, "wf-1/run-1/close", "incident.close", "incident/INC-1", "open", "closed", "rolled back", True),
    ]


def test_several_alerts_join_one_incident(records: Records) -> None:
    records.create_incident(create())
    for number in range(3):
        change = records.acknowledge_alert(acknowledge(f"ack-{number}", f"f{number}"))
        assert change.applied
        assert str(change) == "alert/TensafeDown: acknowledged for INC-1"
    incident = records.incident(IncidentRequest(incident_id="INC-1"))
    assert [alert.fingerprint for alert in incident.alerts] == ["f0", "f1", "f2"]


def test_twenty_firings_at_once_by_different_runs_are_one_alert(
    records: Records, records_sql: psycopg.Connection[Any]
) -> None:
    def attempt(number: int) -> Change:
        while True:
            try:
                return records.acknowledge_alert(acknowledge(f"ack-{number}"))
            except Unavailable:
                continue  # as Temporal would

    with ThreadPoolExecutor(8) as threads:
        changes = list(threads.map(attempt, range(20)))
    assert [change.applied for change in changes].count(True) == 1
    assert count(records_sql, "alerts") == count(records_sql, "audit_log") == 1


def test_an_alert_goes_over_to_another_incident(records: Records) -> None:
    records.acknowledge_alert(acknowledge("one"))
    change = records.acknowledge_alert(acknowledge("two", incident_id="INC-2"))
    assert str(change) == "alert/TensafeDown: acknowledged for INC-1 → acknowledged for INC-2"
    again = records.acknowledge_alert(acknowledge("three", incident_id="INC-2"))
    assert (again.applied, again.note) == (False, "already")


def test_an_alert_is_resolved_once(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    records.acknowledge_alert(acknowledge())
    assert records.resolve_alert(resolve("one")).applied
    second = records.resolve_alert(resolve("two"))
    assert (second.applied, second.note) == (False, "since 2026-03-01 03:05:00Z")
    row = records_sql.execute("SELECT status, resolved_at, notes FROM runbooks.alerts").fetchone()
    assert row == ("resolved", NOW + timedelta(minutes=5), "rolled back")


@pytest.mark.parametrize("method", ["note_incident", "mark_incident", "close_incident", "schedule_post_mortem"])
def test_what_comes_before_its_incident_is_tried_again(records: Records, method: str) -> None:
    request_of = next(request_of for name, request_of, _ in EFFECTS if name == method)
    with pytest.raises(Unavailable, match="INC-1 is not in the records yet"):
        getattr(records, method)(request_of())
    records.create_incident(create())
    assert getattr(records, method)(request_of()).applied


def test_an_alert_resolved_before_it_is_recorded_is_tried_again(records: Records) -> None:
    with pytest.raises(Unavailable, match="not in the records yet"):
        records.resolve_alert(resolve())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE runbooks.audit_log SET actor = 'mallory'",
        "UPDATE runbooks.audit_log SET actor = 'mallory' WHERE false",
        "DELETE FROM runbooks.audit_log",
        "TRUNCATE runbooks.audit_log",
        "TRUNCATE runbooks.audit_log CASCADE",
        "SET session_replication_role = replica; DELETE FROM runbooks.audit_log",
        """
        INSERT INTO runbooks.audit_log (actor, workflow_id, run_id, effect_key, action, target, before, after, note)
        VALUES ('m', 'w', 'r', 'wf-1/run-1/create', 'a', 't', 'b', 'a', 'n')
        ON CONFLICT (effect_key) DO UPDATE SET actor = 'mallory'
        """,
        "MERGE INTO runbooks.audit_log USING (SELECT 1) one ON true WHEN MATCHED THEN DELETE",
    ],
)
def test_the_audit_log_only_grows(records: Records, records_sql: psycopg.Connection[Any], statement: str) -> None:
    """The tests' role owns the table, and is a superuser."""
    records.create_incident(create())
    before = everything(records_sql)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        records_sql.execute(statement)
    assert everything(records_sql) == before


def test_a_broken_rule_is_named_without_the_data(records: Records) -> None:
    with pytest.raises(Refused) as caught:
        records.acknowledge_alert(acknowledge(fingerprint=""))
    assert caught.value.message == "the records refuse it: alert fingerprint is not empty"
    assert caught.value.__cause__ is None
    assert caught.value.non_retryable
    with pytest.raises(Refused) as caught:
        records.create_incident(create().model_copy(update={"title": "hunter2\0"}))
    assert "hunter2" not in str(caught.value)


def test_a_failed_effect_leaves_nothing(records: Records, records_sql: psycopg.Connection[Any]) -> None:
    with pytest.raises(Refused):
        records.create_incident(create().model_copy(update={"severity": "P9"}))
    assert not any(everything(records_sql))
    assert records.create_incident(create()).applied
