"""Our own status page: updates as rows of the records, the latest of a component is its state."""

from functools import partial
from typing import TYPE_CHECKING, Any

from activities.common.effects import Change
from activities.messages.status_page.status_page import UpdateStatusPage
from activities.records.ledger import Ledger, Rows

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool


class RecordsStatusPage:
    """Keeps status updates in the records; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    def update(self, request: UpdateStatusPage) -> Change:
        """Add an update."""
        return self._ledger.once(request.effect, "status_page.update", partial(_update, request=request))


def _update(rows: Rows, request: UpdateStatusPage) -> Change:
    before = rows.execute(
        "SELECT status FROM runbooks.status_updates WHERE component = %s ORDER BY id DESC LIMIT 1", (request.component,)
    ).fetchone()
    rows.execute(
        """
        INSERT INTO runbooks.status_updates
               (component, incident_id, title, status, message, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (request.component, request.incident_id, request.title, request.status, request.message,
         request.effect.workflow_id, request.effect.run_id, request.effect.key),
    )  # fmt: skip
    return Change(
        target=f"status page/{request.component}",
        before=before["status"] if before else "",
        after=request.status,
        applied=True,
    )
