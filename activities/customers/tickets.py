"""Support tickets of tenants (runbook 1.1 step 5, 1.3 step 3, 5.2 steps 4 to 6)."""

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.effects import Change, Effect, effect
from activities.common.errors import Refused, Unavailable
from activities.common.severity import Severity
from activities.records.ledger import Ledger, Rows

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

    from records_schema.pool import BoundedConnection


class CreateTicket(BaseModel):
    """`tensafe-admin support create` (5.2 step 4)."""

    ticket_id: str = Field(description="Chosen by the workflow, so that it can be named while records are away.")
    tenant_id: str
    priority: Severity
    title: str
    description: str
    opened_at: datetime
    effect: Effect


class AssignTicket(BaseModel):
    """`tensafe-admin support assign` (5.2 step 5)."""

    ticket_id: str
    to: str
    effect: Effect


class CommentTicket(BaseModel):
    """`tensafe-admin support comment` (5.2 step 6): what the customer is told, and what they are promised."""

    ticket_id: str
    at: datetime
    author: str
    text: str
    update_due_at: datetime | None = Field(default=None, description="Until when the next update is promised.")
    effect: Effect


class CloseTicket(BaseModel):
    """The customer's problem is solved."""

    ticket_id: str
    at: datetime
    resolution: str
    effect: Effect


class TicketsRequest(BaseModel):
    """Which tickets; of every tenant where none is named."""

    tenant_id: str | None = None
    status: Literal["open", "closed"] | None = "open"
    limit: int = Field(default=100, ge=1, le=1000)


class Ticket(BaseModel):
    """One ticket."""

    ticket_id: str
    tenant_id: str
    priority: Severity
    title: str
    status: Literal["open", "closed"]
    assignee: str
    opened_at: datetime
    update_due_at: datetime | None
    resolution: str

    def __str__(self) -> str:
        return f"{self.ticket_id} {self.priority} {self.title} ({self.assignee or 'nobody'})"


class Tickets(BaseModel):
    """Tickets, the most urgent first, then the oldest."""

    items: list[Ticket]

    def __str__(self) -> str:
        return "; ".join(str(ticket) for ticket in self.items) or "no tickets"


class Support:
    """Reads and writes tickets; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[BoundedConnection]") -> None:
        self._ledger = Ledger(pool)

    @activity.defn(name="support.create")
    @effect
    def create(self, request: CreateTicket) -> Change:
        """Open a ticket."""

        def work(rows: Rows) -> Change:
            effect = request.effect
            rows.execute(
                """
                INSERT INTO runbooks.support_tickets
                       (ticket_id, tenant_id, priority, title, description, opened_at, workflow_id, run_id, effect_key)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
                """,
                (
                    request.ticket_id,
                    request.tenant_id,
                    request.priority,
                    request.title,
                    request.description,
                    request.opened_at,
                    effect.workflow_id,
                    effect.run_id,
                    effect.key,
                ),
            )
            return Change(target=f"ticket/{request.ticket_id}", after=f"open ({request.priority})", applied=True)

        return self._ledger.once(request.effect, "ticket.create", work)

    @activity.defn(name="support.assign")
    @effect
    def assign(self, request: AssignTicket) -> Change:
        """Give a ticket to somebody.

        Raises:
            Refused: it is closed.

        """

        def work(rows: Rows) -> Change:
            before = _open(rows, request.ticket_id)["assignee"]
            rows.execute(
                "UPDATE runbooks.support_tickets SET assignee = %s WHERE ticket_id = %s",
                (request.to, request.ticket_id),
            )
            return Change(
                target=f"ticket/{request.ticket_id}",
                before=before or "nobody",
                after=request.to,
                applied=before != request.to,
            )

        return self._ledger.once(request.effect, "ticket.assign", work)

    @activity.defn(name="support.comment")
    @effect
    def comment(self, request: CommentTicket) -> Change:
        """Add what the customer is told, and move the promise.

        Raises:
            Refused: it is closed.

        """

        def work(rows: Rows) -> Change:
            _open(rows, request.ticket_id)
            effect = request.effect
            rows.execute(
                """
                INSERT INTO runbooks.ticket_comments (ticket_id, at, author, text, workflow_id, run_id, effect_key)
                VALUES (%s, %s, %s, %s, %s, %s, %s)
                """,
                (
                    request.ticket_id,
                    request.at,
                    request.author,
                    request.text,
                    effect.workflow_id,
                    effect.run_id,
                    effect.key,
                ),
            )
            rows.execute(
                "UPDATE runbooks.support_tickets SET update_due_at = %s WHERE ticket_id = %s",
                (request.update_due_at, request.ticket_id),
            )
            due = f", next update due {request.update_due_at:%F %T %Z}" if request.update_due_at else ""
            return Change(target=f"ticket/{request.ticket_id}", after=f"comment by {request.author}{due}", applied=True)

        return self._ledger.once(request.effect, "ticket.comment", work)

    @activity.defn(name="support.close")
    @effect
    def close(self, request: CloseTicket) -> Change:
        """Close a ticket; not applied where it is closed."""

        def work(rows: Rows) -> Change:
            before = _locked(rows, request.ticket_id)["status"]
            rows.execute(
                """
                UPDATE runbooks.support_tickets
                SET status = 'closed', closed_at = %s, resolution = %s, update_due_at = NULL
                WHERE ticket_id = %s AND status = 'open'
                """,
                (request.at, request.resolution, request.ticket_id),
            )
            return Change(
                target=f"ticket/{request.ticket_id}",
                before=before,
                after="closed",
                applied=before == "open",
                note=request.resolution,
            )

        return self._ledger.once(request.effect, "ticket.close", work)

    @activity.defn(name="support.tickets")
    def tickets(self, request: TicketsRequest) -> Tickets:
        """List tickets."""
        with self._ledger.read() as rows:
            found = rows.execute(
                """
                SELECT ticket_id, tenant_id, priority, title, status, assignee, opened_at, update_due_at, resolution
                FROM runbooks.support_tickets
                WHERE (%(tenant)s::text IS NULL OR tenant_id = %(tenant)s)
                  AND (%(status)s::text IS NULL OR status = %(status)s)
                ORDER BY priority, opened_at, ticket_id
                LIMIT %(limit)s
                """,
                {"tenant": request.tenant_id, "status": request.status, "limit": request.limit},
            ).fetchall()
        return Tickets(items=[Ticket.model_validate(row) for row in found])


def _open(rows: Rows, ticket_id: str) -> dict[str, object]:
    ticket = _locked(rows, ticket_id)
    if ticket["status"] != "open":
        raise Refused(f"{ticket_id} is closed already: open a new ticket")
    return ticket


def _locked(rows: Rows, ticket_id: str) -> dict[str, object]:
    row = rows.execute(
        "SELECT * FROM runbooks.support_tickets WHERE ticket_id = %s FOR UPDATE", (ticket_id,)
    ).fetchone()
    if row is None:
        # Its own creation may be on its way still: an outage of the records is bridged in the background.
        raise Unavailable(f"ticket {ticket_id} is not in the records (yet)")
    return row
