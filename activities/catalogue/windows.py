"""What settings say of a service's maintenance windows (runbook 6.1)."""

from datetime import timedelta

from pydantic import Field

from activities.catalogue.base import ServicePolicy
from activities.common.text import Key, Words


class WindowPolicy(ServicePolicy):
    """When people are told of a window, what is silenced in it, and how long it may last (runbook 6.1)."""

    announce_before: timedelta = Field(
        default=timedelta(hours=24), ge=timedelta(0), description="When customers are told, before the start."
    )
    longest: timedelta = Field(
        default=timedelta(days=7),
        gt=timedelta(0),
        description="From a window's start to its announced end: a mistyped year would silence alerts for as long.",
    )
    silence: dict[Key, Words] = Field(
        default_factory=dict,
        description="Labels of the alerts that are silenced; where none are given, `service` with the service's name.",
    )
    late_after: timedelta = Field(
        default=timedelta(minutes=15), gt=timedelta(0), description="A start that comes later than this is asked for."
    )
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )
    extension: timedelta = Field(
        default=timedelta(minutes=30), gt=timedelta(0), description="What an overrun is offered to be extended by."
    )
    longest_extension: timedelta = Field(
        default=timedelta(hours=4),
        ge=timedelta(0),
        description="Beyond the announced end, however often it is extended.",
    )
    verify_within: timedelta = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="For the service to be well at the end."
    )
    steady_for: timedelta = Field(
        default=timedelta(minutes=1), ge=timedelta(0), description="Health must hold this long to count as operational."
    )
