"""The operations records in PostgreSQL: what the runbook's `tensafe-admin` speaks of (runbook 1–8).

Every write names its workflow and run ID and is keyed, so that doing it twice leaves one row and one line in the
audit log. Times without a zone count as UTC.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities import incidents
from activities.backends import records_alerts, records_deployments, records_incidents
from activities.backends.ledger import Ledger
from activities.backends.records_on_call import on_duty
from activities.effects import Change, Effect, effect
from activities.incidents import Incident, IncidentRequest

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool

Severity = Literal["P1", "P2", "P3", "P4"]


class Alert(BaseModel):
    """One firing of one alert, whoever sent it."""

    source: str = Field(description="alertmanager, ui, slack, cli, …")
    fingerprint: str = Field(description="Identifies the alert (not the firing) at its source.")
    name: str
    starts_at: datetime = Field(description="When this firing began; with the fingerprint it is the episode.")
    status: Literal["firing", "resolved"] = "firing"
    ends_at: datetime | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    generator_url: str = ""
    group_key: str = ""

    @property
    def summary(self) -> str:
        """What a person reads first."""
        return self.annotations.get("summary") or self.annotations.get("description") or self.name


class AcknowledgeAlert(BaseModel):
    """`tensafe-admin alert ack` (2.2 step 1): also records the alert, if it is new."""

    alert: Alert
    incident_id: str
    service: str
    severity: Severity
    effect: Effect


class ResolveAlert(BaseModel):
    """The alert went away, or a person resolved it (2.3 step 7)."""

    source: str
    fingerprint: str
    starts_at: datetime
    resolved_at: datetime
    notes: str = ""
    effect: Effect


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


class RecentDeploymentsRequest(BaseModel):
    """What changed lately (2.2 step 4)."""

    service: str
    since: timedelta
    limit: int = 10


class Deployment(BaseModel):
    """One deployment record (4.1 step 2)."""

    version: str
    status: Literal["started", "complete", "failed", "rolled_back"]
    deployer: str
    change_log: str = ""
    started_at: datetime
    finished_at: datetime | None = None
    revision: int | None = Field(default=None, description="Revision of the Deployment, where it is known.")
    reason: str = Field(default="", description="Why it failed or was rolled back.")


class Deployments(BaseModel):
    """Deployment records, newest first."""

    items: list[Deployment]

    def __str__(self) -> str:
        if not self.items:
            return "no recorded deployments"
        latest = self.items[0]
        return f"{len(self.items)} recorded, latest {latest.version} ({latest.status}) by {latest.deployer}"


class RecordDeployment(BaseModel):
    """`tensafe-admin deploy create|complete|rollback`: insert or move on a deployment record (4.1, 4.2)."""

    service: str
    version: str
    status: Literal["started", "complete", "failed", "rolled_back"]
    at: datetime
    deployer: str
    change_log: str = ""
    revision: int | None = None
    reason: str = ""
    effect: Effect


class OnCallRequest(BaseModel):
    """Who is on call."""

    rotation: str
    at: datetime
    level: int = Field(default=1, ge=1, description="1 primary; 2 and up: escalations.")


class OnCall(BaseModel):
    """The person on duty; the rotation's own name and address where nobody is entered."""

    name: str
    email: str = ""
    level: int = 1

    def __str__(self) -> str:
        return self.name


class OpenIncidentsRequest(BaseModel):
    """Which incidents are not over."""

    service: str
    severities: list[Severity]


class OpenIncident(BaseModel):
    """One of them."""

    incident_id: str
    severity: Severity
    title: str
    status: str
    opened_at: datetime


class OpenIncidents(BaseModel):
    """Incidents that are neither closed nor cancelled, oldest first."""

    items: list[OpenIncident]

    def __str__(self) -> str:
        if not self.items:
            return "no open incidents"
        return "; ".join(f"{i.severity} {i.incident_id} {i.title} ({i.status})" for i in self.items)


class Records:
    """Reads and writes the operations records.

    An effect raises `Unavailable` when PostgreSQL doesn't answer within about two seconds, or when what it adds to is
    not in the records yet (its own write may be on its way still); `Refused` when the data breaks a rule of the
    database; `Misconfigured` when the schema or the role's privileges don't fit.
    """

    def __init__(self, pool: "ConnectionPool[Any]") -> None:
        self._ledger = Ledger(pool)

    @activity.defn(name="records.acknowledge_alert")
    @effect
    def acknowledge_alert(self, request: AcknowledgeAlert) -> Change:
        """Record the alert if new, and acknowledge it for the incident (2.2 step 1).

        Any number of firings may join an incident; one that another incident had is handed over.
        """
        work = partial(records_alerts.acknowledge, request=request)
        return self._ledger.once(request.effect, "alert.acknowledge", work)

    @activity.defn(name="records.resolve_alert")
    @effect
    def resolve_alert(self, request: ResolveAlert) -> Change:
        """Mark one firing resolved (2.3 step 7); the first time counts."""
        work = partial(records_alerts.resolve, request=request)
        return self._ledger.once(request.effect, "alert.resolve", work)

    @activity.defn(name="records.create_incident")
    @effect
    def create_incident(self, request: CreateIncident) -> Change:
        """Open the incident (2.2 step 2); not applied where it exists."""
        work = partial(records_incidents.create, request=request)
        return self._ledger.once(request.effect, "incident.create", work)

    @activity.defn(name="records.note_incident")
    @effect
    def note_incident(self, request: NoteIncident) -> Change:
        """Add a note (2.2 step 11)."""
        work = partial(records_incidents.note, request=request)
        return self._ledger.once(request.effect, "incident.note", work)

    @activity.defn(name="records.mark_incident")
    @effect
    def mark_incident(self, request: MarkIncident) -> Change:
        """Set a milestone; the first time it is reached counts, and the status never moves back."""
        work = partial(records_incidents.mark, request=request)
        return self._ledger.once(request.effect, f"incident.{request.milestone}", work)

    @activity.defn(name="records.close_incident")
    @effect
    def close_incident(self, request: CloseIncident) -> Change:
        """Close the incident with its resolution and root cause (2.2 step 12); not applied where it is closed."""
        work = partial(records_incidents.close, request=request)
        return self._ledger.once(request.effect, "incident.close", work)

    @activity.defn(name="records.schedule_post_mortem")
    @effect
    def schedule_post_mortem(self, request: SchedulePostMortem) -> Change:
        """Schedule the post-mortem (2.2 step 14); one an incident."""
        work = partial(records_incidents.schedule_post_mortem, request=request)
        return self._ledger.once(request.effect, "post_mortem.schedule", work)

    @activity.defn(name="records.incident")
    def incident(self, request: IncidentRequest) -> Incident:
        """Read an incident with its alerts, notes, pages, status updates, messages and audit log.

        Raises:
            NotFound: there is none of that ID.

        """
        with self._ledger.read() as rows:
            return incidents.read(rows, request.incident_id)

    @activity.defn(name="records.recent_deployments")
    def recent_deployments(self, request: RecentDeploymentsRequest) -> Deployments:
        """Read the deployments of a service that began or ended lately, newest first (2.2 step 4)."""
        with self._ledger.read() as rows:
            found = rows.execute(
                """
                SELECT version, status, deployer, change_log, started_at, finished_at, revision, reason
                FROM runbooks.deployments
                WHERE service = %s AND coalesce(finished_at, started_at) >= now() - %s::interval
                ORDER BY started_at DESC, id DESC
                LIMIT %s
                """,
                (request.service, request.since, request.limit),
            ).fetchall()
        return Deployments(items=[Deployment.model_validate(row) for row in found])

    @activity.defn(name="records.record_deployment")
    @effect
    def record_deployment(self, request: RecordDeployment) -> Change:
        """Write or move on a deployment record (4.1 steps 2 and 7, 4.2 step 4)."""
        work = partial(records_deployments.record, request=request)
        return self._ledger.once(request.effect, f"deployment.{request.status}", work)

    @activity.defn(name="records.open_incidents")
    def open_incidents(self, request: OpenIncidentsRequest) -> OpenIncidents:
        """Read the incidents of a service that are not over (4.1 step 1)."""
        with self._ledger.read() as rows:
            found = records_incidents.not_over(rows, request.service, list(request.severities))
        return OpenIncidents(items=[OpenIncident.model_validate(row) for row in found])

    @activity.defn(name="records.on_call")
    def on_call(self, request: OnCallRequest) -> OnCall:
        """Look up who is on duty in a rotation at a time and level."""
        with self._ledger.read() as rows:
            name, email = on_duty(rows, request.rotation, request.level, request.at)
        return OnCall(name=name, email=email, level=request.level)
