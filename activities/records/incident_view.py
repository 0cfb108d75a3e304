"""An incident as the records have it, whole: for `runbooks status`, the demo's table, and whoever reads it later."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from activities.common.errors import NotFound
from activities.records.ledger import Rows

IncidentStatus = Literal["open", "mitigated", "stable", "closed", "cancelled"]


class IncidentRequest(BaseModel):
    """Which incident."""

    incident_id: str


class IncidentNote(BaseModel):
    """One note (2.2 step 11)."""

    at: datetime
    author: str
    text: str


class IncidentRelapse(BaseModel):
    """It was mitigated, and unhealthy again."""

    mitigated_at: datetime
    lost_at: datetime


class IncidentAlert(BaseModel):
    """One firing that the incident handles."""

    source: str
    fingerprint: str
    name: str
    status: Literal["firing", "resolved"]
    starts_at: datetime
    acknowledged_at: datetime
    resolved_at: datetime | None
    notes: str


class IncidentPage(BaseModel):
    """Who was paged for it."""

    level: int
    rotation: str
    paged: str
    summary: str
    paged_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str
    resolved_at: datetime | None


class StatusUpdate(BaseModel):
    """What the status page said of it."""

    at: datetime
    component: str
    status: str
    message: str


class ChatMessage(BaseModel):
    """What the incident's run said, or will say, in the records' own chat."""

    message_id: str
    channel: str
    text: str
    thread: str | None
    post_at: datetime | None = Field(description="Set where it is to be posted later.")
    written_at: datetime


class PostMortem(BaseModel):
    """When it is to be looked back on."""

    scheduled_for: datetime
    draft_uri: str
    invite_uri: str


class AuditEntry(BaseModel):
    """One line of the audit log."""

    at: datetime
    actor: str
    action: str
    target: str
    before: str
    after: str
    note: str
    workflow_id: str
    run_id: str
    effect_key: str


class Incident(BaseModel):
    """Everything the records have of one incident; times are UTC, lists are in order of time."""

    incident_id: str
    severity: Literal["P1", "P2", "P3", "P4"]
    title: str
    service: str
    commander: str
    status: IncidentStatus
    opened_at: datetime
    acknowledged_at: datetime | None
    mitigated_at: datetime | None
    stable_at: datetime | None
    cancelled_at: datetime | None
    closed_at: datetime | None
    closed_by: str
    resolution: str
    root_cause: str
    workflow_id: str
    run_id: str
    relapses: list[IncidentRelapse] = []
    alerts: list[IncidentAlert]
    notes: list[IncidentNote]
    pages: list[IncidentPage]
    status_updates: list[StatusUpdate]
    messages: list[ChatMessage]
    post_mortem: PostMortem | None
    audit: list[AuditEntry] = Field(description="All effects on the records of the run that opened it.")

    def __str__(self) -> str:
        return f"{self.incident_id} {self.severity} {self.status}: {self.title}"


def read(rows: Rows, incident_id: str) -> Incident:
    """Read an incident and what belongs to it.

    Raises:
        NotFound: there is none of that ID.

    """
    row = rows.execute("SELECT * FROM runbooks.incidents WHERE incident_id = %s", (incident_id,)).fetchone()
    if row is None:
        raise NotFound(f"incident {incident_id} is not in the records")

    def all_of(query: str, *value: str) -> list[dict[str, Any]]:
        return rows.execute(query, value).fetchall()

    # The incidents of a service have one workflow ID after another, and runs of their own.
    run = (row["workflow_id"], row["run_id"])
    post_mortems = all_of("SELECT * FROM runbooks.post_mortems WHERE incident_id = %s", incident_id)
    return Incident.model_validate(
        {
            **row,
            "relapses": all_of(
                "SELECT * FROM runbooks.incident_relapses WHERE incident_id = %s ORDER BY lost_at, id", incident_id
            ),
            "alerts": all_of(
                "SELECT * FROM runbooks.alerts WHERE incident_id = %s ORDER BY starts_at, id", incident_id
            ),
            "notes": all_of(
                "SELECT * FROM runbooks.incident_notes WHERE incident_id = %s ORDER BY at, id", incident_id
            ),
            "pages": all_of("SELECT * FROM runbooks.pages WHERE incident_id = %s ORDER BY id", incident_id),
            "status_updates": all_of(
                "SELECT * FROM runbooks.status_updates WHERE incident_id = %s ORDER BY id", incident_id
            ),
            "messages": all_of(
                """
                SELECT id::text AS message_id, channel, text, thread::text AS thread, post_at, written_at
                FROM runbooks.messages WHERE workflow_id = %s AND run_id = %s ORDER BY id
                """,
                *run,
            ),
            "post_mortem": post_mortems[0] if post_mortems else None,
            "audit": all_of(
                "SELECT * FROM runbooks.audit_log WHERE workflow_id = %s AND run_id = %s ORDER BY id", *run
            ),
        }
    )
