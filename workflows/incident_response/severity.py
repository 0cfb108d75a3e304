"""Incident severities, their response times, and how an impact is classified (runbook 2.1)."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field

from activities.common.severity import Severity

ERROR_RATE_OF_P2 = 0.05
LATENCY_OF_P2 = timedelta(seconds=2)
_LONGEST_LATENCY = 86_400.0
_CLOSE_OF_BUSINESS = time(17, 0)
_FRIDAY = 4


class SeverityClass(BaseModel):
    """One row of the table of 2.1."""

    severity: Severity
    impact: str
    examples: str
    response_within: timedelta | None = Field(description="None: the next business day.")


SEVERITIES: dict[Severity, SeverityClass] = {
    "P1": SeverityClass(
        severity="P1",
        impact="Service down",
        examples="API unreachable, data loss",
        response_within=timedelta(minutes=15),
    ),
    "P2": SeverityClass(
        severity="P2",
        impact="Major degradation",
        examples="Error rate > 5 %, latency > 2 s",
        response_within=timedelta(hours=1),
    ),
    "P3": SeverityClass(
        severity="P3",
        impact="Minor impact",
        examples="Partial feature outage",
        response_within=timedelta(hours=4),
    ),
    "P4": SeverityClass(
        severity="P4",
        impact="No user impact",
        examples="Internal issue, monitoring gap",
        response_within=None,
    ),
}


class Impact(BaseModel):
    """What users notice, as far as it is known."""

    down: bool = False
    data_loss: bool = False
    error_rate: float | None = Field(default=None, ge=0, le=1, description="Share of failed requests.")
    latency: timedelta | None = Field(default=None, description="95th percentile.")
    users_affected: bool = Field(default=True, description="Whether anybody outside notices at all.")


def classify(impact: Impact) -> Severity:
    """Give the severity of an impact; thresholds are exceeded, not met (`> 5 %`, `> 2 s`)."""
    if impact.down or impact.data_loss:
        return "P1"
    if impact.error_rate is not None and impact.error_rate > ERROR_RATE_OF_P2:
        return "P2"
    if impact.latency is not None and impact.latency > LATENCY_OF_P2:
        return "P2"
    return "P3" if impact.users_affected else "P4"


def impact_of(labels: Mapping[str, str]) -> Impact | None:
    """Read an impact from labels: `impact` (down, data-loss, none), `error_rate` (0 to 1), `latency` (seconds).

    None where they say nothing.
    """
    named = labels.get("impact", "")
    error_rate, latency = _number(labels.get("error_rate")), _number(labels.get("latency"))
    if not named and error_rate is None and latency is None:
        return None
    return Impact(
        down=named == "down",
        data_loss=named == "data-loss",
        error_rate=error_rate if error_rate is not None and error_rate <= 1 else None,
        latency=timedelta(seconds=latency) if latency is not None and latency <= _LONGEST_LATENCY else None,
        users_affected=named != "none",
    )


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if value >= 0 else None  # also drops NaN


def respond_by(severity: Severity, reported: datetime, time_zone: str) -> datetime:
    """Say until when somebody must have responded.

    P4 is due by the close of business (17:00, when runbook 1.3 ends the day) of the next day from Monday to Friday, in
    the service's time zone.
    """
    within = SEVERITIES[severity].response_within
    if within is not None:
        return reported + within
    zone = ZoneInfo(time_zone)
    local = reported.astimezone(zone)
    day = _next_business_day(local)
    return datetime.combine(day, _CLOSE_OF_BUSINESS, tzinfo=zone)


def _next_business_day(local: datetime) -> datetime:
    day = local + timedelta(days=1)
    while day.weekday() > _FRIDAY:
        day += timedelta(days=1)
    return day
