"""Our own page: what is published stands in the records, and the view shows whose word counts."""

from typing import Any

import psycopg

from activities.messages.status_page.records import RecordsStatusPage
from activities.messages.status_page.status_page import (
    COMPONENT_SHOWS,
    COMPONENT_STATES,
    worst,
)
from tests.activities.messages.status_page.updates import WAY, maintenance, update
from tests.records_schema.fixtures import count


def test_updates_follow_each_other(own: RecordsStatusPage, records_sql: psycopg.Connection[Any]) -> None:
    assert str(own.update(update("Identified", "one"))) == "status page/api: Identified"
    assert str(own.update(update("Resolved", "two"))) == "status page/api: Identified → Resolved"
    again = own.update(update("Resolved", "two"))
    assert (str(again), again.applied) == ("status page/api: Identified → Resolved", False)
    assert count(records_sql, "status_updates") == count(records_sql, "audit_log") == 2


def test_a_planned_update_leaves_nothing(own: RecordsStatusPage, records_sql: psycopg.Connection[Any]) -> None:
    assert not own.update(update("Identified", "one", dry_run=True)).applied
    assert count(records_sql, "status_updates") == count(records_sql, "audit_log") == 0


def test_a_maintenance_goes_its_way_on_our_page(own: RecordsStatusPage, records_sql: psycopg.Connection[Any]) -> None:
    for status, shows in WAY:
        assert own.maintenance(maintenance(status, status, shows)).applied
        assert not own.maintenance(maintenance(status, status, shows)).applied
    late = own.maintenance(maintenance("In progress", "late"))
    assert (late.applied, late.after, late.note) == (False, "Completed", "In progress comes too late")
    rows = records_sql.execute(
        "SELECT status, component_shows FROM runbooks.maintenance_notices ORDER BY id"
    ).fetchall()
    assert rows == [(status, shows or "") for status, shows in WAY]


def test_our_own_page_says_whose_word_shows(own: RecordsStatusPage, records_sql: psycopg.Connection[Any]) -> None:
    own.update(update("Investigating", "a", "INC-1"))
    mine = own.update(update("Resolved", "b", "INC-2"))
    assert mine.note == "the component shows major_outage, by incident INC-1"
    over = own.maintenance(maintenance("In progress", "c", "under_maintenance"))
    assert over.note == "the component shows major_outage, by incident INC-1"
    assert own.update(update("Identified", "d", "INC-1")).note == ""
    assert str(own.update(update("Resolved", "e", "INC-1"))).startswith("status page/api: Identified → Resolved")


def test_the_view_and_the_rule_say_the_same(own: RecordsStatusPage, records_sql: psycopg.Connection[Any]) -> None:
    known = records_sql.execute("SELECT enum_range(NULL::runbooks.component_state)::text[]").fetchone()
    assert known is not None
    assert tuple(known[0]) == COMPONENT_STATES
    for number, (status, shows) in enumerate(COMPONENT_SHOWS.items()):
        own.update(update(status, status, f"INC-{number}", component=status))
        query = "SELECT shows::text FROM runbooks.status_page WHERE component = %s"
        assert records_sql.execute(query, (status,)).fetchone() == (shows,)
    assert worst("operational", "partial_outage", "under_maintenance") == "partial_outage"
