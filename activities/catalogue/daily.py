"""What settings say of a service's days (runbook 1.1, 1.2, 1.3): `[services.NAME.daily]`."""

import string
from datetime import time, timedelta
from typing import Literal

from pydantic import Field, field_validator, model_validator

from activities.catalogue.base import ServicePolicy, Weekday
from activities.common.text import Key, Link, Words

WINDOW = "window"
"""What `$window` stands for in PromQL of this section: how far back the report looks, e.g. 43200s."""


class DailyPolicy(ServicePolicy):
    """When a service is looked at, by which clock, and where people read of it; times are in the service's zone."""

    channel: Key = Field(default="#ops", description="Where the morning's summary and the pulse's warnings go.")
    handoff_channel: Key = Field(default="#oncall", description="Where the evening's handoff goes.")
    days: tuple[Weekday, ...] = Field(
        default=("mon", "tue", "wed", "thu", "fri"), min_length=1, description="Business days."
    )
    holidays: Link | None = Field(
        default=None,
        pattern=r"^[A-Z]{2}(-[A-Za-z0-9]{1,6})?$",
        description="Days off of a country, or of a part of it, by ISO 3166: DE, DE-BE, US-NY.",
    )
    calendar: Link | None = Field(
        default=None,
        description="An iCalendar file (relative to the settings file) whose all-day events are days off as well.",
    )
    morning_at: time | None = Field(default=time(8, 0), description="1.1; None: by hand alone.")
    pulse: bool = Field(default=True, description="Whether 1.2 runs every business hour.")
    pulse_from: int = Field(default=8, ge=0, le=23, description="First hour of the pulse.")
    pulse_until: int = Field(default=18, ge=0, le=23, description="Last hour of the pulse.")
    evening_at: time | None = Field(default=time(17, 0), description="1.3; None: by hand alone.")
    confirm_after: timedelta = Field(
        default=timedelta(seconds=10),
        gt=timedelta(0),
        le=timedelta(minutes=2),
        description="What is not healthy is asked again after that, before anybody is warned.",
    )
    night: timedelta = Field(
        default=timedelta(hours=12), gt=timedelta(0), description="How far back the morning looks."
    )
    day: timedelta = Field(default=timedelta(hours=24), gt=timedelta(0), description="How far back the evening looks.")
    uptime: Words | None = Field(
        default=None, description='PromQL of a share, 0 to 1, e.g. avg_over_time(service_up{service="x"}[$window]).'
    )
    errors: Words | None = Field(
        default=None, description='PromQL of a number, e.g. sum(increase(http_requests_total{code=~"5.."}[$window])).'
    )
    alerts: Words = Field(
        default="", description="Which of Prometheus' ALERTS are this service's; service=\"NAME\" where it is empty."
    )
    error_rate_below: float = Field(
        default=0.05, gt=0, le=1, description="Of metrics.error_rate; from here the service is YELLOW (2.1's P2)."
    )
    p95_latency_below: timedelta = Field(
        default=timedelta(seconds=2), gt=timedelta(0), description="Of metrics.p95_latency; from here YELLOW."
    )
    incident: Literal["auto", "ask"] = Field(
        default="auto",
        description="A service that is down in the morning, and has no incident yet: 2.2 is started, "
        "or a person is asked first.",
    )
    morning_within: timedelta = Field(default=timedelta(minutes=10), gt=timedelta(0), description="1.1's clock.")
    evening_within: timedelta = Field(default=timedelta(minutes=10), gt=timedelta(0), description="1.3's clock.")
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )

    @field_validator("uptime", "errors")
    @classmethod
    def _only_the_window(cls, query: str | None) -> str | None:
        if query is not None:
            in_window(query, timedelta(seconds=1))
        return query

    @model_validator(mode="after")
    def _rising(self) -> "DailyPolicy":
        if self.pulse_until < self.pulse_from:
            raise ValueError("pulse_until: must not be before pulse_from")
        return self


def in_window(query: str, window: timedelta) -> str:
    """Give PromQL with its `$window`.

    Raises:
        ValueError: it has another `$name`; `$$` is a dollar.

    """
    try:
        return string.Template(query).substitute({WINDOW: f"{window.total_seconds():.0f}s"})
    except (KeyError, ValueError):
        raise ValueError("only $window can stand in it; $$ is a dollar") from None
