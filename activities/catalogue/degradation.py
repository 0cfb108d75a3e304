"""What settings say of a degraded service (runbook 2.1, 2.3): `[services.NAME.degradation]`."""

from datetime import timedelta

from pydantic import Field

from activities.catalogue.base import ServicePolicy
from activities.catalogue.recovery import Component
from activities.common.text import Key


class DegradationPolicy(ServicePolicy):
    """When a service counts as degraded, and how far a P2 run goes by itself."""

    error_rate_above: float = Field(default=0.05, gt=0, le=1, description="Share of failed requests (runbook 2.1).")
    latency_above: timedelta = Field(
        default=timedelta(seconds=2), gt=timedelta(0), description="95th percentile (runbook 2.1)."
    )
    scale_by: Key = Field(
        default="+2", pattern=r"^(\+\d{1,3}|[x×*]\d{1,2}(\.\d{1,2})?)$", description="As 2.3 step 5: +2, or ×1.5."
    )
    assess_within: timedelta = Field(default=timedelta(minutes=5), gt=timedelta(0), description="2.3 step 1.")
    respond_within: timedelta = Field(
        default=timedelta(hours=1), gt=timedelta(0), description="Until it is well again (runbook 2.1), or people hear."
    )
    look_back: timedelta = Field(
        default=timedelta(minutes=30), gt=timedelta(0), description="Of logs and figures (2.3 steps 2 and 3)."
    )
    watch_for: timedelta = Field(default=timedelta(minutes=15), gt=timedelta(0), description="2.3 step 6.")
    watch_every: timedelta = Field(default=timedelta(seconds=10), gt=timedelta(0), description="2.3 step 6.")
    better_for: timedelta = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="How long all must be well at the watch's end."
    )
    down_for: timedelta = Field(
        default=timedelta(minutes=1), gt=timedelta(0), description="Not healthy for so long is an outage: P1."
    )
    connections_above: float = Field(
        default=0.9, gt=0, le=1, description="Share of the database's connections in use that is too many."
    )
    replica_behind: timedelta = Field(
        default=timedelta(seconds=30), gt=timedelta(0), description="A replica of the database that is told."
    )
    dependencies: dict[Key, Component] = Field(
        default_factory=dict, description="What the service needs of others: a health URL or a condition of each."
    )
    max_fixes: int = Field(default=3, ge=1, le=10, description="Attempts by itself; then people are asked.")
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="Until a question escalates, and then again until the default.",
    )
