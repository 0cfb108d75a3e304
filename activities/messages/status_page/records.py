"""Our own status page: updates as rows of the records; `runbooks.status_page` says what each component shows."""

from functools import partial
from typing import TYPE_CHECKING, Any

from activities.common.effects import Change
from activities.messages.status_page.status_page import (
    COMPONENT_SHOWS,
    MAINTENANCE_STATES,
    LeaveStatusPage,
    UpdateMaintenance,
    UpdateStatusPage,
)
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

    def leave(self, request: LeaveStatusPage) -> Change:
        """Add a last update, which says the same of the component, unless it is over."""
        return self._ledger.once(request.effect, "status_page.leave", partial(_leave, request=request))

    def maintenance(self, request: UpdateMaintenance) -> Change:
        """Add where a maintenance stands."""
        return self._ledger.once(request.effect, "status_page.maintenance", partial(_maintenance, request=request))


def _update(rows: Rows, request: UpdateStatusPage) -> Change:
    before = rows.execute(
        "SELECT status FROM runbooks.status_updates WHERE component = %s AND incident_id = %s ORDER BY id DESC LIMIT 1",
        (request.component, request.incident_id),
    ).fetchone()
    rows.execute(
        """
        INSERT INTO runbooks.status_updates
               (component, incident_id, title, status, message, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            request.component,
            request.incident_id,
            request.title,
            request.status,
            request.message,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    return Change(
        target=f"status page/{request.component}",
        before=before["status"] if before else "",
        after=request.status,
        applied=True,
        note=_worse(rows, request.component, request.incident_id, COMPONENT_SHOWS[request.status]),
    )


def _leave(rows: Rows, request: LeaveStatusPage) -> Change:
    target = f"status page/{request.component}"
    known = rows.execute(
        """
        SELECT title, status FROM runbooks.status_updates WHERE component = %s AND incident_id = %s
        ORDER BY id DESC LIMIT 1
        """,
        (request.component, request.incident_id),
    ).fetchone()
    if known is None or known["status"] == "Resolved":
        note = "it is over already" if known else "it was never published"
        return Change(target=target, after=known["status"] if known else "nothing", applied=False, note=note)
    update = UpdateStatusPage(
        component=request.component,
        incident_id=request.incident_id,
        title=known["title"],
        status="Resolved" if request.over else known["status"],
        message=request.message,
        effect=request.effect,
    )
    return _update(rows, update)


def _worse(rows: Rows, component: str, ours: str, says: str) -> str:
    """Say that the component shows something worse than this says of it, and by whom."""
    shown = rows.execute(
        "SELECT shows::text AS shows, kind, by FROM runbooks.status_page WHERE component = %s", (component,)
    ).fetchone()
    if shown is None or shown["by"] == ours or shown["shows"] == says:
        return ""
    return f"the component shows {shown['shows']}, by {shown['kind']} {shown['by']}"


def _maintenance(rows: Rows, request: UpdateMaintenance) -> Change:
    target = f"status page/{request.component}"
    rows.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"notices of {request.window_id}",))
    known = rows.execute(
        "SELECT status FROM runbooks.maintenance_notices WHERE window_id = %s ORDER BY id DESC LIMIT 1",
        (request.window_id,),
    ).fetchone()
    before = known["status"] if known else ""
    if known and MAINTENANCE_STATES.index(before) > MAINTENANCE_STATES.index(request.status):
        return Change(target=target, after=before, applied=False, note=f"{request.status} comes too late")
    if not known and request.status == "Completed" and not request.effect.dry_run:
        return Change(target=target, after="nothing", applied=False, note="it was never announced")
    rows.execute(
        """
        INSERT INTO runbooks.maintenance_notices
               (window_id, component, title, status, component_shows, message, starts_at, ends_at,
                workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            request.window_id,
            request.component,
            request.title,
            request.status,
            request.shows or "",
            request.message,
            request.starts_at,
            request.ends_at,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    after = f"{request.status}, component {request.shows}" if request.shows else request.status
    note = _worse(rows, request.component, request.window_id, request.shows) if request.shows else ""
    return Change(target=target, before=before, after=after, applied=True, note=note)
