"""Incidents in the records: open, note, milestones, close, post-mortem (runbook 2.2, 2.3)."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from activities.common.effects import Change, Effect
from activities.common.errors import Unavailable
from activities.common.severity import Severity
from activities.records.ledger import Rows
from libraries import sql


class CreateIncident(BaseModel):
    """`tensafe-admin incident create` (2.2 step 2)."""

    incident_id: str = Field(
        description="Chosen by the workflow, so that the incident exists even while records don't."
    )
    severity: Severity
    title: str
    service: str
    commander: str
    opened_at: datetime
    effect: Effect


class NoteIncident(BaseModel):
    """`tensafe-admin incident update --notes` (2.2 step 11)."""

    incident_id: str
    at: datetime
    author: str
    text: str
    effect: Effect


class MarkIncident(BaseModel):
    """A milestone of the incident: acknowledged, mitigated, stable, cancelled."""

    incident_id: str
    milestone: Literal["acknowledged", "mitigated", "stable", "cancelled"]
    at: datetime
    effect: Effect


class RaiseIncident(BaseModel):
    """A P2 that has become worse goes on as P1 (2.3): the same incident, more severe."""

    incident_id: str
    severity: Severity
    effect: Effect


class RelapseIncident(BaseModel):
    """What was mitigated is unhealthy again."""

    incident_id: str
    mitigated_at: datetime
    lost_at: datetime
    effect: Effect


class CloseIncident(BaseModel):
    """`tensafe-admin incident close` (2.2 step 12)."""

    incident_id: str
    at: datetime
    closed_by: str
    resolution: str
    root_cause: str
    effect: Effect


class SchedulePostMortem(BaseModel):
    """`tensafe-admin incident postmortem schedule` (2.2 step 14)."""

    incident_id: str
    scheduled_for: datetime
    draft_uri: str = ""
    invite_uri: str = ""
    effect: Effect


class OpenIncidentsRequest(BaseModel):
    """Which incidents are not over."""

    service: str
    severities: list[Severity]
    others: list[str] = Field(default_factory=list, description="Further services to ask for.")


class OpenIncident(BaseModel):
    """One of them."""

    incident_id: str
    severity: Severity
    title: str
    status: str
    opened_at: datetime
    workflow_id: str = Field(default="", description="The run that looks after it.")
    commander: str = ""
    service: str = ""


class OpenIncidents(BaseModel):
    """Incidents that are neither closed nor cancelled, oldest first."""

    items: list[OpenIncident]

    @property
    def led(self) -> list[OpenIncident]:
        """Those that a run may look after.

        A workflow ID has one run at a time, and a run one incident: of several that name the same, the newest is its.
        The others are left open by runs that were terminated; `SweepHolds` ends them within a minute or two.
        """
        newest = {one.workflow_id: one for one in sorted(self.items, key=lambda one: one.opened_at)}
        return [one for one in self.items if not one.workflow_id or newest[one.workflow_id] is one]

    def __str__(self) -> str:
        if not self.items:
            return "no open incidents"
        return "; ".join(f"{i.severity} {i.incident_id} {i.title} ({i.status})" for i in self.items)


CLOSED_UNWELL = "closed while not healthy"
"""What the resolution says where people have closed it in spite of that."""

_LOST_BY_RELAPSE = {"mitigated", "stable"}
_RANK = ("open", "mitigated", "stable", "cancelled", "closed")


def create(rows: Rows, request: CreateIncident) -> Change:
    """Open the incident; one that is there already stays as it is."""
    target, after = f"incident/{request.incident_id}", f"open ({request.severity}, {request.commander})"
    rows.execute(
        """
        INSERT INTO runbooks.incidents
               (incident_id, severity, title, service, commander, opened_at, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (incident_id) DO NOTHING
        """,
        (
            request.incident_id,
            request.severity,
            request.title,
            request.service,
            request.commander,
            request.opened_at,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    if rows.rowcount == 1:
        return Change(target=target, after=after, applied=True)
    known = _locked(rows, request.incident_id, request.effect)
    after = f"{known['status']} ({known['severity']}, {known['commander']})"
    return Change(target=target, after=after, applied=False, note=f"opened already by {known['workflow_id']}")


def not_over(rows: Rows, services: list[str], severities: list[str]) -> list[dict[str, Any]]:
    """Read the incidents of services that are neither closed nor cancelled, oldest first."""
    return rows.execute(
        """
        SELECT incident_id, severity, title, status, opened_at, commander, workflow_id, service
        FROM runbooks.incidents
        WHERE service = ANY(%s) AND severity = ANY(%s) AND status NOT IN ('closed', 'cancelled')
        ORDER BY opened_at, incident_id
        """,
        (services, severities),
    ).fetchall()


def note(rows: Rows, request: NoteIncident) -> Change:
    """Add a note."""
    _locked(rows, request.incident_id, request.effect)
    rows.execute(
        """
        INSERT INTO runbooks.incident_notes (incident_id, at, author, text, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (
            request.incident_id,
            request.at,
            request.author,
            request.text,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    return Change(target=f"incident/{request.incident_id}", after=f"note by {request.author}", applied=True)


def mark(rows: Rows, request: MarkIncident) -> Change:
    """Set a milestone's time, once; the status moves on and never back, in whatever order milestones arrive.

    Only a relapse takes it back, and what was reached before that doesn't count any more, though it is told late.
    """
    known = _locked(rows, request.incident_id, request.effect)
    target, column = f"incident/{request.incident_id}", f"{request.milestone}_at"
    if request.milestone in _LOST_BY_RELAPSE and (lost := _lost_since(rows, request.incident_id, request.at)):
        after = f"{request.milestone} at {request.at:%F %T}Z"
        return Change(target=target, after=after, applied=False, note=f"lost at {lost:%F %T}Z")
    if known[column] is not None:
        after = f"{request.milestone} at {known[column]:%F %T}Z"
        return Change(target=target, after=after, applied=False, note="the first time counts")
    status = max(known["status"], request.milestone, key=_rank)
    rows.execute(
        sql.SQL("UPDATE runbooks.incidents SET {} = %s, status = %s WHERE incident_id = %s").format(
            sql.Identifier(column)
        ),
        (request.at, status, request.incident_id),
    )
    at = rows.execute("SELECT %s::timestamptz AS at", (request.at,)).fetchone() or {}
    after = f"{request.milestone} at {at['at']:%F %T}Z"
    return Change(target=target, before=known["status"], after=after, applied=True)


def raise_severity(rows: Rows, request: RaiseIncident) -> Change:
    """Raise the severity; it is never lowered."""
    known = _locked(rows, request.incident_id, request.effect)
    target, before = f"incident/{request.incident_id}", known["severity"]
    if before <= request.severity:
        return Change(target=target, after=before, applied=False, note="already")
    # The run that raises it looks after it from now on: whoever joins the incident has to find that one.
    rows.execute(
        "UPDATE runbooks.incidents SET severity = %s, workflow_id = %s, run_id = %s WHERE incident_id = %s",
        (request.severity, request.effect.workflow_id, request.effect.run_id, request.incident_id),
    )
    return Change(target=target, before=before, after=request.severity, applied=True)


def relapse(rows: Rows, request: RelapseIncident) -> Change:
    """Keep both times, and open the incident again, unless it is over."""
    known = _locked(rows, request.incident_id, request.effect)
    rows.execute(
        """
        INSERT INTO runbooks.incident_relapses
               (incident_id, mitigated_at, lost_at, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (
            request.incident_id,
            request.mitigated_at,
            request.lost_at,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    rows.execute(
        """
        UPDATE runbooks.incidents
        SET mitigated_at = CASE WHEN mitigated_at > %(lost)s THEN mitigated_at END,
            stable_at = CASE WHEN stable_at > %(lost)s THEN stable_at END,
            status = CASE WHEN status IN ('mitigated', 'stable') THEN 'open' ELSE status END
        WHERE incident_id = %(incident)s
        """,
        {"lost": request.lost_at, "incident": request.incident_id},
    )
    after = f"unhealthy again at {request.lost_at:%F %T}Z"
    return Change(target=f"incident/{request.incident_id}", before=known["status"], after=after, applied=True)


def close(rows: Rows, request: CloseIncident) -> Change:
    """Close it; one that is closed already keeps the resolution it has."""
    known = _locked(rows, request.incident_id, request.effect)
    target = f"incident/{request.incident_id}"
    if known["status"] == "closed":
        already = f"closed already by {known['closed_by']} at {known['closed_at']:%F %T}Z"
        return Change(target=target, after="closed", applied=False, note=already)
    rows.execute(
        """
        UPDATE runbooks.incidents
        SET status = 'closed', closed_at = %s, closed_by = %s, resolution = %s, root_cause = %s
        WHERE incident_id = %s
        """,
        (request.at, request.closed_by, request.resolution, request.root_cause, request.incident_id),
    )
    return Change(target=target, before=known["status"], after="closed", applied=True, note=request.resolution)


def schedule_post_mortem(rows: Rows, request: SchedulePostMortem) -> Change:
    """Schedule the post-mortem; one that is scheduled already stays."""
    _locked(rows, request.incident_id, request.effect)
    rows.execute(
        """
        INSERT INTO runbooks.post_mortems
               (incident_id, scheduled_for, draft_uri, invite_uri, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (incident_id) DO NOTHING
        """,
        (
            request.incident_id,
            request.scheduled_for,
            request.draft_uri,
            request.invite_uri,
            request.effect.workflow_id,
            request.effect.run_id,
            request.effect.key,
        ),
    )
    new = rows.rowcount == 1
    kept = (
        rows.execute(
            "SELECT scheduled_for AS at FROM runbooks.post_mortems WHERE incident_id = %s", (request.incident_id,)
        ).fetchone()
        or {}
    )
    after = f"scheduled for {kept['at']:%F %H:%M}Z"
    return Change(target=f"post-mortem/{request.incident_id}", after=after, applied=new, note="" if new else "already")


def _lost_since(rows: Rows, incident_id: str, reached_at: datetime) -> datetime | None:
    found = (
        rows.execute(
            "SELECT max(lost_at) AS at FROM runbooks.incident_relapses WHERE incident_id = %s AND lost_at >= %s",
            (incident_id, reached_at),
        ).fetchone()
        or {}
    )
    lost: datetime | None = found.get("at")
    return lost


def _rank(status: str) -> int:
    return _RANK.index(status) if status in _RANK else -1  # acknowledged is a time, and no status


def _locked(rows: Rows, incident_id: str, effect: Effect) -> dict[str, Any]:
    """Read the incident and keep others from changing it until the transaction ends."""
    query = "SELECT * FROM runbooks.incidents WHERE incident_id = %s FOR UPDATE"
    known = rows.execute(query, (incident_id,)).fetchone()
    if known is None and effect.dry_run:
        # In plan mode its creation was rolled back, so a stand-in takes its place, and is rolled back as well.
        rows.execute(
            """
            INSERT INTO runbooks.incidents
                   (incident_id, severity, title, service, commander, opened_at, workflow_id, run_id, effect_key)
            VALUES (%s, 'P4', 'plan', 'plan', 'plan', now(), %s, %s, %s)
            """,
            (incident_id, effect.workflow_id, effect.run_id, f"{effect.key}/plan"),
        )
        known = rows.execute(query, (incident_id,)).fetchone()
    if known is None:
        # Its creation may still be on its way after an outage, so trying again can help.
        raise Unavailable(f"incident {incident_id} is not in the records yet")
    return known
