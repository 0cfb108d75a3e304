"""Pages as rows of the records: who was on duty, when paged, acknowledged and resolved."""

from functools import partial
from typing import TYPE_CHECKING, Any

from activities.common.effects import Change
from activities.messages.paging.paging import AcknowledgePage, PageOnCall, ResolvePage
from activities.records.ledger import Ledger, Rows
from activities.records.on_call import on_duty

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool


class RecordsPager:
    """Keeps pages in the records; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    def page(self, request: PageOnCall) -> Change:
        """Page who is on duty at the level, else the rotation itself; not applied while a page of the level is open."""
        return self._ledger.once(request.effect, "page.trigger", partial(_page, request=request))

    def acknowledge(self, request: AcknowledgePage) -> Change:
        """Acknowledge the incident's open pages of the first levels; the first time counts."""
        return self._ledger.once(request.effect, "page.acknowledge", partial(_acknowledge, request=request))

    def resolve(self, request: ResolvePage) -> Change:
        """Resolve the incident's open pages of the first levels."""
        return self._ledger.once(request.effect, "page.resolve", partial(_resolve, request=request))


def _page(rows: Rows, request: PageOnCall) -> Change:
    name, email = on_duty(rows, request.rotation, request.level, None)
    rows.execute(
        """
        INSERT INTO runbooks.pages
               (incident_id, level, service, severity, rotation, paged, email, summary, link,
                workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (incident_id, level) WHERE resolved_at IS NULL DO NOTHING
        """,
        (
            request.incident_id,
            request.level,
            request.service,
            request.severity,
            request.rotation,
            name,
            email,
            request.summary,
            request.link,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    return Change(
        target=f"page/{request.incident_id}/L{request.level}",
        after=f"{name} paged ({request.rotation}, level {request.level})",
        applied=rows.rowcount == 1,
        note="" if rows.rowcount == 1 else "paged already",
    )


def _acknowledge(rows: Rows, request: AcknowledgePage) -> Change:
    rows.execute(
        """
        UPDATE runbooks.pages SET acknowledged_at = now(), acknowledged_by = %s
        WHERE incident_id = %s AND level <= %s AND resolved_at IS NULL AND acknowledged_at IS NULL
        """,
        (request.by, request.incident_id, request.levels),
    )
    return _changed(rows, request.incident_id, f"acknowledged by {request.by}", dry_run=request.effect.dry_run)


def _resolve(rows: Rows, request: ResolvePage) -> Change:
    rows.execute(
        """
        UPDATE runbooks.pages SET resolved_at = now()
        WHERE incident_id = %s AND level <= %s AND resolved_at IS NULL
        """,
        (request.incident_id, request.levels),
    )
    return _changed(rows, request.incident_id, "resolved", dry_run=request.effect.dry_run)


def _changed(rows: Rows, incident_id: str, after: str, *, dry_run: bool) -> Change:
    found = rows.rowcount > 0
    note = f"{rows.rowcount} pages" if rows.rowcount > 1 else ""
    # In plan mode the page itself was rolled back, so that finding none says nothing.
    note = note if found or dry_run else "no page open"
    return Change(target=f"page/{incident_id}", before="paged", after=after, applied=found, note=note)
