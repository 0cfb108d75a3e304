"""What a run tells the records."""

from datetime import UTC, datetime, timedelta
from typing import Any

from activities.records.alerts import AcknowledgeAlert, Alert, ResolveAlert
from activities.records.deployments import RecordDeployment
from activities.records.incidents import (
    CloseIncident,
    CreateIncident,
    MarkIncident,
    NoteIncident,
    RelapseIncident,
    SchedulePostMortem,
)
from tests.records_schema.fixtures import effect

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def create(step: str = "create", incident_id: str = "INC-1", **plan: bool) -> CreateIncident:
    return CreateIncident(
        incident_id=incident_id,
        severity="P1",
        title="API down",
        service="tensafe-server",
        commander="grace",
        opened_at=NOW,
        effect=effect(step, **plan),
    )


def acknowledge(
    step: str = "ack", fingerprint: str = "f1", incident_id: str = "INC-1", **plan: bool
) -> AcknowledgeAlert:
    alert = Alert(
        source="alertmanager",
        fingerprint=fingerprint,
        name="TensafeDown",
        starts_at=NOW,
        labels={"severity": "critical"},
        annotations={"summary": "down"},
    )
    return AcknowledgeAlert(
        alert=alert, incident_id=incident_id, service="tensafe-server", severity="P1", effect=effect(step, **plan)
    )


def resolve(step: str = "resolve", **plan: bool) -> ResolveAlert:
    return ResolveAlert(
        source="alertmanager",
        fingerprint="f1",
        starts_at=NOW,
        resolved_at=NOW + timedelta(minutes=5),
        notes="rolled back",
        effect=effect(step, **plan),
    )


def note(step: str = "note", text: str = "Root cause: v1.2.4", **plan: bool) -> NoteIncident:
    return NoteIncident(incident_id="INC-1", at=NOW, author="grace", text=text, effect=effect(step, **plan))


def mark(step: str, milestone: Any, minutes: int = 10, **plan: bool) -> MarkIncident:
    at = NOW + timedelta(minutes=minutes)
    return MarkIncident(incident_id="INC-1", milestone=milestone, at=at, effect=effect(step, **plan))


def close(step: str = "close", by: str = "grace", **plan: bool) -> CloseIncident:
    return CloseIncident(
        incident_id="INC-1",
        at=NOW + timedelta(hours=1),
        closed_by=by,
        resolution="rolled back",
        root_cause="bad image",
        effect=effect(step, **plan),
    )


def relapse(step: str = "relapse", **plan: bool) -> RelapseIncident:
    """It held from the tenth minute to the fifteenth."""
    return RelapseIncident(
        incident_id="INC-1",
        mitigated_at=NOW + timedelta(minutes=10),
        lost_at=NOW + timedelta(minutes=15),
        effect=effect(step, **plan),
    )


def post_mortem(step: str = "pm", **plan: bool) -> SchedulePostMortem:
    return SchedulePostMortem(
        incident_id="INC-1",
        scheduled_for=NOW + timedelta(days=1),
        draft_uri="file:///d.md",
        effect=effect(step, **plan),
    )


def deployment(status: Any, step: str, version: str = "v1.2.4", **plan: bool) -> RecordDeployment:
    return RecordDeployment(
        service="tensafe-server",
        version=version,
        status=status,
        at=datetime.now(UTC),
        deployer="ada",
        change_log="Fixed #123",
        effect=effect(step, **plan),
    )
