"""Without Slack, messages stand in the records, each once."""

from typing import Any

import psycopg
import pytest

from activities.common.errors import InvalidInput, Refused
from activities.messages.chat.records import RecordsChat
from tests.activities.messages.chat.posting import PICTURE, post, schedule
from tests.records_schema.fixtures import count


def test_messages_are_kept_once(own: RecordsChat, records_sql: psycopg.Connection[Any]) -> None:
    first, second = own.post(post()), own.post(post())
    assert (first.applied, second.applied) == (True, False)
    assert first.message_id == second.message_id != ""
    reply = own.post(post("reply", thread=first.message_id))
    later = own.schedule(schedule())
    assert later.applied
    rows = records_sql.execute("SELECT id::text, thread::text, post_at IS NOT NULL FROM runbooks.messages ORDER BY id")
    assert rows.fetchall() == [
        (first.message_id, None, False),
        (reply.message_id, first.message_id, False),
        (later.message_id, None, True),
    ]
    assert count(records_sql, "audit_log") == 3


def test_a_planned_message_leaves_nothing(own: RecordsChat, records_sql: psycopg.Connection[Any]) -> None:
    plan = own.post(post(dry_run=True))
    assert (plan.applied, plan.message_id) == (False, "")
    reply = own.post(post("reply", thread=plan.message_id, dry_run=True))
    assert not reply.applied
    assert count(records_sql, "messages") == count(records_sql, "audit_log") == 0


def test_a_thread_of_another_backend_is_refused(own: RecordsChat) -> None:
    with pytest.raises(InvalidInput, match="thread"):
        own.post(post(thread="1700000000.000100"))
    with pytest.raises(Refused):
        own.post(post(thread="4711"))


def test_a_picture_is_kept_beside_the_message(own: RecordsChat, records_sql: psycopg.Connection[Any]) -> None:
    own.post(post(picture=PICTURE))
    row = records_sql.execute("SELECT picture FROM runbooks.messages").fetchone()
    assert row is not None
    assert bytes(row[0]).startswith(b"\x89PNG")
