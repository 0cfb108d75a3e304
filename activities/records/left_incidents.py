"""Incidents that nobody looks after any more: open in the records, of a run that has ended some other way than its own.

They are over as far as a run goes, and not resolved: nobody has seen that. The audit log keeps how far each has come:
`incident.left` when it was said that nobody looks after it, `incident.left_behind` when a later incident of its service
was closed, and with it what the left one had still kept up.
"""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from activities.common.effects import Change, Effect
from activities.common.severity import Severity
from activities.common.text import Key, Shown, ShownLine, ToldLine
from activities.common.times import Time
from activities.records.incidents import CLOSED_UNWELL
from activities.records.ledger import Ledger, Rows

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

LEFT = "nobody looks after it"
ENDED = "what it kept up is ended"
_AUTHOR = "runbook"


class OpenEntry(BaseModel):
    """An incident that is open in the records, and the run that looks after it, or did."""

    kind: Literal["incident", "security incident"]
    incident_id: Key
    service: Key
    severity: Severity
    title: ShownLine = Field(description="Of a security incident none: what it is about is restricted.")
    status: Key = Field(description="How far it had come: open, mitigated, stable.")
    commander: ShownLine = ""
    opened_at: Annotated[AwareDatetime, Time(made_fit=True)]
    run: ToldLine = Field(description="Workflow ID.")
    run_id: Key
    first_run: Key = Field(description="First run ID of that run's chain; empty where the records don't say.")
    thread: ToldLine = Field(description="Key of the effect that opened its thread.")

    @property
    def target(self) -> str:
        """How the audit log names it."""
        return f"{self.kind}/{self.incident_id}"

    def __str__(self) -> str:
        return f"{self.severity} {self.incident_id} of {self.service}, opened {self.opened_at:%Y-%m-%d %H:%M:%S} UTC"


class LeaveEntry(BaseModel):
    """Say in the records that nobody looks after it."""

    entry: OpenEntry
    because: Shown = Field(description="How its run ended.")
    at: datetime
    effect: Effect


class LeftInRecords:
    """Reads and ends what is left open; raises as `activities.records.activities.Records` does."""

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    def open(self, services: list[str]) -> list[OpenEntry]:
        """Read what is open of these services, oldest first."""
        with self._ledger.read() as rows:
            return [*_incidents(rows, services), *_security(rows, services)]

    def left_behind(self, services: list[str]) -> list[OpenEntry]:
        """Read the incidents that were left, and of whose service a later one was closed while it was healthy.

        The later one must be as severe: who closes it has looked at all that the left one was about.
        """
        with self._ledger.read() as rows:
            found = rows.execute(
                f"""
                SELECT {_COLUMNS}, i.effect_key AS looks_after FROM runbooks.incidents i
                WHERE i.service = ANY(%(services)s) AND i.status = 'cancelled'
                      AND EXISTS (SELECT FROM runbooks.audit_log l
                                  WHERE l.target = 'incident/' || i.incident_id AND l.action = 'incident.left')
                      AND NOT EXISTS (SELECT FROM runbooks.audit_log l
                                      WHERE l.target = 'incident/' || i.incident_id
                                            AND l.action = 'incident.left_behind')
                      AND EXISTS (SELECT FROM runbooks.incidents later
                                  WHERE later.service = i.service AND later.severity <= i.severity
                                        AND later.opened_at > i.opened_at AND later.status = 'closed'
                                        AND strpos(later.resolution, %(unwell)s) = 0)
                ORDER BY i.opened_at, i.incident_id
                """,  # noqa: S608  our own columns
                {"services": services, "unwell": CLOSED_UNWELL},
            ).fetchall()
        return [_entry("incident", row) for row in found]

    def leave(self, request: LeaveEntry) -> Change:
        """Say that nobody looks after it; not applied where it is over, or another run has it by now."""
        work = _leave if request.entry.kind == "incident" else _leave_security
        action = "incident.left" if request.entry.kind == "incident" else "security_incident.left"
        return self._ledger.once(request.effect, action, partial(work, request=request))

    def end_left_behind(self, entry: OpenEntry, effect: Effect) -> Change:
        """Note that what it had kept up is ended."""

        def work(rows: Rows) -> Change:
            del rows
            return Change(target=entry.target, before=LEFT, after=ENDED, applied=True)

        return self._ledger.once(effect, "incident.left_behind", work)


_COLUMNS = (
    "i.incident_id, i.service, i.severity, i.title, i.status, i.commander, i.opened_at, i.workflow_id, i.run_id, "
    "i.effect_key"
)


def _incidents(rows: Rows, services: list[str]) -> list[OpenEntry]:
    # An incident that was raised is another run's than the one that had opened it: the audit log has the chain of both.
    found = rows.execute(
        f"""
        SELECT {_COLUMNS}, coalesce(
            (SELECT l.effect_key FROM runbooks.audit_log l
             WHERE l.target = 'incident/' || i.incident_id AND l.action = 'incident.raise'
                   AND l.workflow_id = i.workflow_id
             ORDER BY l.id DESC LIMIT 1), i.effect_key) AS looks_after
        FROM runbooks.incidents i
        WHERE i.service = ANY(%s) AND i.status NOT IN ('closed', 'cancelled')
        ORDER BY i.opened_at, i.incident_id
        """,  # noqa: S608  our own columns
        (services,),
    ).fetchall()
    return [_entry("incident", row) for row in found]


def _security(rows: Rows, services: list[str]) -> list[OpenEntry]:
    found = rows.execute(
        """
        SELECT incident_id, service, CASE severity WHEN 'critical' THEN 'P1' ELSE 'P2' END AS severity, '' AS title,
               'open' AS status, '' AS commander, opened_at, workflow_id, run_id, effect_key, effect_key AS looks_after
        FROM runbooks.security_incidents WHERE service = ANY(%s) AND closed_at IS NULL
        ORDER BY opened_at, incident_id
        """,
        (services,),
    ).fetchall()
    return [_entry("security incident", row) for row in found]


def _entry(kind: Literal["incident", "security incident"], row: dict[str, Any]) -> OpenEntry:
    run, key = row.pop("workflow_id"), row.pop("looks_after")
    opened_by = row.pop("effect_key")
    chain = key.removeprefix(f"{run}/").partition("/")[0] if key.startswith(f"{run}/") else ""
    thread = f"{opened_by.rpartition('/')[0]}/post-opened"
    return OpenEntry(kind=kind, run=run, first_run=chain, thread=thread, **row)


def _leave(rows: Rows, request: LeaveEntry) -> Change:
    entry = request.entry
    known = rows.execute(
        "SELECT status, workflow_id FROM runbooks.incidents WHERE incident_id = %s FOR UPDATE", (entry.incident_id,)
    ).fetchone()
    if known is None or known["status"] in {"closed", "cancelled"}:
        after = known["status"] if known else "gone"
        return Change(target=entry.target, after=after, applied=False, note="it is over already")
    if known["workflow_id"] != entry.run:
        return Change(target=entry.target, after=f"{known['workflow_id']} looks after it", applied=False)
    rows.execute(
        "UPDATE runbooks.incidents SET status = 'cancelled', cancelled_at = %s WHERE incident_id = %s",
        (request.at, entry.incident_id),
    )
    rows.execute(
        """
        INSERT INTO runbooks.incident_notes (incident_id, at, author, text, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (
            entry.incident_id,
            request.at,
            _AUTHOR,
            request.because,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    return Change(target=entry.target, before=known["status"], after=LEFT, applied=True, note=request.because)


def _leave_security(rows: Rows, request: LeaveEntry) -> Change:
    entry = request.entry
    rows.execute(
        """
        UPDATE runbooks.security_incidents SET closed_at = greatest(%s, opened_at), outcome = %s
        WHERE incident_id = %s AND workflow_id = %s AND closed_at IS NULL
        """,
        (request.at, request.because, entry.incident_id, entry.run),
    )
    if rows.rowcount == 0:
        return Change(target=entry.target, after="closed", applied=False, note="it is over already")
    return Change(target=entry.target, before="open", after=LEFT, applied=True, note=request.because)
