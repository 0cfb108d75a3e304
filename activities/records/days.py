"""What the records have of a service's day: alerts, shifts to come, the report of each evening (runbook 1.1, 1.3)."""

from datetime import date, datetime

from pydantic import BaseModel, Field

from activities.common.effects import Change, Effect
from activities.records.ledger import Rows
from libraries import psycopg

_MOST = 50


class AlertsSince(BaseModel):
    """`tensafe-admin alerts list --since` (1.1 step 2)."""

    service: str
    since: datetime


class KnownAlert(BaseModel):
    """One firing that the records have."""

    name: str
    severity: str
    incident_id: str = Field(description="Empty for a warning of the pulse.")
    starts_at: datetime
    resolved_at: datetime | None

    def __str__(self) -> str:
        whose = f" → {self.incident_id}" if self.incident_id else ""
        return f"{self.name} ({self.severity}){whose}{'' if self.resolved_at else ' still fires'}"


class KnownAlerts(BaseModel):
    """Those that began or ended since, or still fire, the oldest first."""

    items: list[KnownAlert]

    def __str__(self) -> str:
        return ", ".join(map(str, self.items)) or "no alerts"


class ShiftsRequest(BaseModel):
    """Who is on duty in a rotation between two moments."""

    rotation: str
    begin: datetime
    end: datetime


class Shift(BaseModel):
    """One of them."""

    contact: str
    level: int
    begin: datetime
    end: datetime


class Shifts(BaseModel):
    """In order of time."""

    items: list[Shift]

    def __str__(self) -> str:
        return ", ".join(f"{shift.contact} (level {shift.level})" for shift in self.items) or "no shift is entered"


class KeepReport(BaseModel):
    """Archive the day's report (1.3 step 6)."""

    service: str
    day: date
    time_zone: str
    made_at: datetime
    figures: dict[str, float | None]
    handoff: str
    effect: Effect


class ReportsRequest(BaseModel):
    """The reports of some days."""

    service: str
    days: list[date]


class Report(BaseModel):
    """One day's."""

    day: date
    made_at: datetime
    figures: dict[str, float | None]
    workflow_id: str


class Reports(BaseModel):
    """Those there are."""

    items: list[Report]

    def of(self, day: date) -> Report | None:
        """Give a day's; None where there is none."""
        return next((report for report in self.items if report.day == day), None)

    def __str__(self) -> str:
        return ", ".join(f"{report.day}" for report in self.items) or "no reports"


def alerts_since(rows: Rows, request: AlertsSince) -> KnownAlerts:
    """Read the alerts of a stretch until now."""
    found = rows.execute(
        """
        SELECT name, severity, incident_id, starts_at, resolved_at FROM runbooks.alerts
        WHERE service = %(service)s AND (starts_at >= %(since)s OR resolved_at IS NULL OR resolved_at >= %(since)s)
        ORDER BY starts_at DESC, id DESC LIMIT %(most)s
        """,
        {"service": request.service, "since": request.since, "most": _MOST},
    ).fetchall()
    return KnownAlerts(items=[KnownAlert.model_validate(row) for row in reversed(found)])


def shifts(rows: Rows, request: ShiftsRequest) -> Shifts:
    """Read the shifts that touch a stretch of time."""
    found = rows.execute(
        """
        SELECT contact, level, lower(during) AS begin, upper(during) AS end FROM runbooks.on_call_shifts
        WHERE rotation = %s AND during && tstzrange(%s, %s)
        ORDER BY lower(during), level
        """,
        (request.rotation, request.begin, request.end),
    ).fetchall()
    return Shifts(items=[Shift.model_validate(row) for row in found])


def keep_report(rows: Rows, request: KeepReport) -> Change:
    """Keep a day's report; the first of a day stays."""
    effect, target = request.effect, f"daily-report/{request.service}/{request.day}"
    rows.execute(
        """
        INSERT INTO runbooks.daily_reports
               (service, day, time_zone, made_at, figures, handoff, workflow_id, run_id, effect_key)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (service, day) DO NOTHING
        """,
        (
            request.service,
            request.day,
            request.time_zone,
            request.made_at,
            psycopg.types.json.Jsonb(request.figures),
            request.handoff,
            effect.workflow_id,
            effect.run_id,
            effect.key,
        ),
    )
    if rows.rowcount == 1:
        return Change(target=target, after=f"kept ({request.time_zone})", applied=True)
    known = (
        rows.execute(
            "SELECT workflow_id, made_at FROM runbooks.daily_reports WHERE service = %s AND day = %s",
            (request.service, request.day),
        ).fetchone()
        or {}
    )
    already = f"{known['workflow_id']} has kept one at {known['made_at']:%F %T}Z already"
    return Change(target=target, after=f"kept ({request.time_zone})", applied=False, note=already)


def reports(rows: Rows, request: ReportsRequest) -> Reports:
    """Read the reports of some days."""
    found = rows.execute(
        """
        SELECT day, made_at, figures, workflow_id FROM runbooks.daily_reports
        WHERE service = %s AND day = ANY(%s) ORDER BY day
        """,
        (request.service, request.days),
    ).fetchall()
    return Reports(items=[Report.model_validate(row) for row in found])
