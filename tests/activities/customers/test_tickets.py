"""Support tickets on a real PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from activities.common.errors import Refused, Unavailable
from activities.customers.tickets import AssignTicket, CloseTicket, CommentTicket, CreateTicket, Support, TicketsRequest
from tests.records_schema.fixtures import count, effect

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
def support(records_sql: psycopg.Connection[Any], records_pool: ConnectionPool[Any]) -> Support:
    for tenant in ("acme", "other"):
        records_sql.execute(
            "INSERT INTO runbooks.tenants (tenant_id, name, tier, email) VALUES (%s, %s, 'team', 'it@acme.test')",
            (tenant, tenant),
        )
    return Support(records_pool)


def new(ticket_id: str = "TCK-1", priority: Any = "P2", tenant: str = "acme", minutes: int = 0) -> CreateTicket:
    return CreateTicket(
        ticket_id=ticket_id,
        tenant_id=tenant,
        priority=priority,
        title="Jobs fail",
        description="All of them.",
        opened_at=NOW + timedelta(minutes=minutes),
        effect=effect(f"create-{ticket_id}"),
    )


def comment(text: str = "We are on it.", due: datetime | None = None) -> CommentTicket:
    return CommentTicket(
        ticket_id="TCK-1", at=NOW, author="ada", text=text, update_due_at=due, effect=effect(f"comment-{text}")
    )


def close(step: str = "close") -> CloseTicket:
    return CloseTicket(ticket_id="TCK-1", at=NOW, resolution="restarted", effect=effect(step))


def test_a_ticket_goes_from_open_to_closed_and_each_step_once(
    support: Support, records_sql: psycopg.Connection[Any]
) -> None:
    due = NOW + timedelta(hours=1)
    steps: list[tuple[Callable[[Any], Any], Any]] = [
        (support.create, new()),
        (support.assign, AssignTicket(ticket_id="TCK-1", to="ada", effect=effect("assign"))),
        (support.comment, comment(due=due)),
        (support.close, close()),
    ]
    for act, request in steps[:3]:
        assert act(request).applied
        assert not act(request).applied
    (ticket,) = support.tickets(TicketsRequest(tenant_id="acme")).items
    assert (ticket.assignee, ticket.update_due_at, str(ticket)) == ("ada", due, "TCK-1 P2 Jobs fail (ada)")
    assert support.close(close()).applied
    assert not support.close(close("again")).applied
    assert count(records_sql, "ticket_comments") == 1
    assert support.tickets(TicketsRequest(tenant_id="acme")).items == []
    (ended,) = support.tickets(TicketsRequest(status="closed")).items
    assert (ended.resolution, ended.update_due_at) == ("restarted", None)


def test_a_closed_ticket_takes_nothing_more(support: Support) -> None:
    support.create(new())
    support.close(close())
    with pytest.raises(Refused, match="TCK-1 is closed already"):
        support.comment(comment())
    with pytest.raises(Refused, match="TCK-1 is closed already"):
        support.assign(AssignTicket(ticket_id="TCK-1", to="ada", effect=effect("assign")))


def test_what_comes_before_the_ticket_is_tried_again(support: Support, records_sql: psycopg.Connection[Any]) -> None:
    with pytest.raises(Unavailable, match="not in the records"):
        support.comment(comment())
    assert count(records_sql, "audit_log") == 0
    support.create(new())
    assert support.comment(comment()).applied


def test_an_update_that_promises_nothing_ends_the_promise(support: Support) -> None:
    support.create(new())
    support.comment(comment(due=NOW + timedelta(hours=1)))
    support.comment(comment("Solved, we think."))
    assert support.tickets(TicketsRequest()).items[0].update_due_at is None


def test_tickets_come_by_urgency_and_age(support: Support) -> None:
    for ticket in (new("A", "P3"), new("B", "P2", minutes=5), new("C", "P2"), new("D", "P1", "other", minutes=9)):
        support.create(ticket)
    assert [ticket.ticket_id for ticket in support.tickets(TicketsRequest()).items] == ["D", "C", "B", "A"]
    mine = support.tickets(TicketsRequest(tenant_id="acme", limit=2)).items
    assert [ticket.ticket_id for ticket in mine] == ["C", "B"]


def test_a_ticket_of_nobody_is_refused(support: Support) -> None:
    with pytest.raises(Refused, match="tenant must exist"):
        support.create(new(tenant="nobody"))
