"""The operations records in PostgreSQL: what the runbook's `tensafe-admin` speaks of (runbook 1–8).

Every write names its workflow and run ID and is keyed, so that doing it twice leaves one row and one line in the
audit log. Times without a zone count as UTC.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from temporalio import activity

from activities.common.effects import Change, effect
from activities.records import alerts, days, deployments, incident_view, incidents, pulse
from activities.records.alerts import AcknowledgeAlert, ResolveAlert
from activities.records.days import (
    AlertsSince,
    KeepReport,
    KnownAlerts,
    Reports,
    ReportsRequest,
    Shifts,
    ShiftsRequest,
)
from activities.records.deployments import Deployment, Deployments, RecentDeploymentsRequest, RecordDeployment
from activities.records.incident_view import Incident, IncidentRequest
from activities.records.incidents import (
    CloseIncident,
    CreateIncident,
    MarkIncident,
    NoteIncident,
    OpenIncident,
    OpenIncidents,
    OpenIncidentsRequest,
    RaiseIncident,
    RelapseIncident,
    SchedulePostMortem,
)
from activities.records.ledger import Ledger
from activities.records.on_call import OnCall, OnCallRequest, on_duty
from activities.records.pulse import RecordPulse

if TYPE_CHECKING:
    from psycopg_pool import ConnectionPool


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
        work = partial(alerts.acknowledge, request=request)
        return self._ledger.once(request.effect, "alert.acknowledge", work)

    @activity.defn(name="records.resolve_alert")
    @effect
    def resolve_alert(self, request: ResolveAlert) -> Change:
        """Mark one firing resolved (2.3 step 7); the first time counts."""
        work = partial(alerts.resolve, request=request)
        return self._ledger.once(request.effect, "alert.resolve", work)

    @activity.defn(name="records.create_incident")
    @effect
    def create_incident(self, request: CreateIncident) -> Change:
        """Open the incident (2.2 step 2); not applied where it exists."""
        work = partial(incidents.create, request=request)
        return self._ledger.once(request.effect, "incident.create", work)

    @activity.defn(name="records.note_incident")
    @effect
    def note_incident(self, request: NoteIncident) -> Change:
        """Add a note (2.2 step 11)."""
        work = partial(incidents.note, request=request)
        return self._ledger.once(request.effect, "incident.note", work)

    @activity.defn(name="records.mark_incident")
    @effect
    def mark_incident(self, request: MarkIncident) -> Change:
        """Set a milestone; the first time it is reached counts, and the status never moves back."""
        work = partial(incidents.mark, request=request)
        return self._ledger.once(request.effect, f"incident.{request.milestone}", work)

    @activity.defn(name="records.raise_incident")
    @effect
    def raise_incident(self, request: RaiseIncident) -> Change:
        """Go on with an incident as a more severe one (2.3)."""
        work = partial(incidents.raise_severity, request=request)
        return self._ledger.once(request.effect, "incident.raise", work)

    @activity.defn(name="records.relapse_incident")
    @effect
    def relapse_incident(self, request: RelapseIncident) -> Change:
        """Record that a mitigation didn't hold (2.2 step 6): the incident is open again, and both times are kept."""
        work = partial(incidents.relapse, request=request)
        return self._ledger.once(request.effect, "incident.relapse", work)

    @activity.defn(name="records.close_incident")
    @effect
    def close_incident(self, request: CloseIncident) -> Change:
        """Close the incident with its resolution and root cause (2.2 step 12); not applied where it is closed."""
        work = partial(incidents.close, request=request)
        return self._ledger.once(request.effect, "incident.close", work)

    @activity.defn(name="records.schedule_post_mortem")
    @effect
    def schedule_post_mortem(self, request: SchedulePostMortem) -> Change:
        """Schedule the post-mortem (2.2 step 14); one an incident."""
        work = partial(incidents.schedule_post_mortem, request=request)
        return self._ledger.once(request.effect, "post_mortem.schedule", work)

    @activity.defn(name="records.incident")
    def incident(self, request: IncidentRequest) -> Incident:
        """Read an incident with its alerts, notes, pages, status updates, messages and audit log.

        Raises:
            NotFound: there is none of that ID.

        """
        with self._ledger.read() as rows:
            return incident_view.read(rows, request.incident_id)

    @activity.defn(name="records.recent_deployments")
    def recent_deployments(self, request: RecentDeploymentsRequest) -> Deployments:
        """Read the deployments of a service that began or ended lately, newest first (2.2 step 4)."""
        with self._ledger.read() as rows:
            found = deployments.recent(rows, request)
        return Deployments(items=[Deployment.model_validate(row) for row in found])

    @activity.defn(name="records.record_deployment")
    @effect
    def record_deployment(self, request: RecordDeployment) -> Change:
        """Write or move on a deployment record (4.1 steps 2 and 7, 4.2 step 4)."""
        work = partial(deployments.record, request=request)
        return self._ledger.once(request.effect, f"deployment.{request.status}", work)

    @activity.defn(name="records.open_incidents")
    def open_incidents(self, request: OpenIncidentsRequest) -> OpenIncidents:
        """Read the incidents of a service, and of others that are asked for, that are not over (4.1 step 1)."""
        with self._ledger.read() as rows:
            found = incidents.not_over(rows, [request.service, *request.others], list(request.severities))
        return OpenIncidents(items=[OpenIncident.model_validate(row) for row in found])

    @activity.defn(name="records.on_call")
    def on_call(self, request: OnCallRequest) -> OnCall:
        """Look up who is on duty in a rotation at a time and level."""
        with self._ledger.read() as rows:
            name, email = on_duty(rows, request.rotation, request.level, request.at)
        return OnCall(name=name, email=email, level=request.level)

    @activity.defn(name="records.pulse")
    @effect
    def pulse(self, request: RecordPulse) -> Change:
        """Raise or resolve the hourly pulse's warning of a service (1.2); not applied where nothing has changed."""
        return self._ledger.once(request.effect, "alert.pulse", partial(pulse.record, request=request))

    @activity.defn(name="records.alerts_since")
    def alerts_since(self, request: AlertsSince) -> KnownAlerts:
        """Read the alerts of a service that fired lately (1.1 step 2)."""
        with self._ledger.read() as rows:
            return days.alerts_since(rows, request)

    @activity.defn(name="records.shifts")
    def shifts(self, request: ShiftsRequest) -> Shifts:
        """Read who is on duty in a stretch of time (1.3 step 4)."""
        with self._ledger.read() as rows:
            return days.shifts(rows, request)

    @activity.defn(name="records.keep_report")
    @effect
    def keep_report(self, request: KeepReport) -> Change:
        """Keep a day's report (1.3 step 6); one a service and day, the first."""
        return self._ledger.once(request.effect, "report.keep", partial(days.keep_report, request=request))

    @activity.defn(name="records.reports")
    def reports(self, request: ReportsRequest) -> Reports:
        """Read the reports of some days (1.3 step 2)."""
        with self._ledger.read() as rows:
            return days.reports(rows, request)
