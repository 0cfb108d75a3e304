"""Without PagerDuty, pages stand in the records, each once."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg

from activities.messages.paging.records import RecordsPager
from tests.activities.messages.paging.paged import acknowledge, page, resolve
from tests.records_schema.fixtures import count


def rows(sql: psycopg.Connection[Any]) -> list[Any]:
    return sql.execute(
        "SELECT level, paged, email, acknowledged_by, acknowledged_at IS NOT NULL, resolved_at IS NOT NULL "
        "FROM runbooks.pages ORDER BY id"
    ).fetchall()


def test_the_person_on_duty_is_paged(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    records_sql.execute("INSERT INTO runbooks.on_call_rotations VALUES ('primary', 'team@tensafe.io')")
    records_sql.execute("INSERT INTO runbooks.on_call_contacts (name, email) VALUES ('ada', 'ada@tensafe.io')")
    records_sql.execute(
        "INSERT INTO runbooks.on_call_shifts (rotation, contact, during) "
        "VALUES ('primary', 'ada', tstzrange(now() - interval '1 h', now() + interval '1 h'))"
    )
    assert str(pager.page(page())) == "page/INC-1/L1: ada paged (primary, level 1)"
    assert str(pager.page(page("escalation", 2))) == "page/INC-1/L2: primary paged (primary, level 2)"
    assert rows(records_sql) == [
        (1, "ada", "ada@tensafe.io", "", False, False),
        (2, "primary", "team@tensafe.io", "", False, False),
    ]


def test_a_page_comes_to_its_rotation_where_nobody_is_entered(pager: RecordsPager) -> None:
    assert pager.page(page()).after == "primary paged (primary, level 1)"


def test_one_page_a_level(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    assert pager.page(page("one")).applied
    assert not pager.page(page("one")).applied
    other = pager.page(page("two"))
    assert (other.applied, other.note) == (False, "paged already")
    assert count(records_sql, "pages") == count(records_sql, "audit_log") == 1


def test_twenty_pages_at_once_are_one(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    with ThreadPoolExecutor(8) as threads:
        changes = list(threads.map(lambda number: pager.page(page(f"page-{number % 4}")), range(20)))
    assert [change.applied for change in changes].count(True) == 1
    assert count(records_sql, "pages") == count(records_sql, "audit_log") == 1


def test_pages_are_acknowledged_and_resolved_once(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    pager.page(page("one"))
    pager.page(page("two", 2))
    assert str(pager.acknowledge(acknowledge())) == "page/INC-1: paged → acknowledged by ada (2 pages)"
    assert not pager.acknowledge(acknowledge("again")).applied
    assert pager.resolve(resolve()).applied
    assert not pager.resolve(resolve()).applied
    nothing = pager.resolve(resolve("again"))
    assert (nothing.applied, nothing.note) == (False, "no page open")
    assert [row[3:] for row in rows(records_sql)] == [("ada", True, True)] * 2
    assert pager.page(page("anew")).applied, "a resolved level can be paged again"


def test_a_planned_page_leaves_nothing(pager: RecordsPager, records_sql: psycopg.Connection[Any]) -> None:
    plan = pager.page(page(dry_run=True))
    assert (plan.applied, plan.after) == (False, "primary paged (primary, level 1)")
    assert str(pager.resolve(resolve(dry_run=True))) == "page/INC-1: paged → resolved"
    assert count(records_sql, "pages") == count(records_sql, "audit_log") == 0
