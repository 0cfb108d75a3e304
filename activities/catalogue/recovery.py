"""What settings say of bringing a whole service back (runbook 7.2): `[services.NAME.recovery]`."""

from datetime import timedelta
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from activities.catalogue.base import ServicePolicy
from activities.catalogue.smoke import SmokeCheck, SmokeJob
from activities.common.text import Key, Link, Words

_ALL = 100
"""Per cent."""


class Component(ServicePolicy):
    """A part of the service that must be well after a recovery (step 4)."""

    deployment: Key | None = Field(default=None, description="Its rollout must be complete.")
    health_url: Link | None = Field(default=None, description="Must say that it is healthy.")
    condition: Words | None = Field(
        default=None,
        description="PromQL, like an alerting rule's but of what is well: it holds where it gives a number, "
        'e.g. `up{job="gateway"} == 1`.',
    )

    @model_validator(mode="after")
    def _something(self) -> "Component":
        if not (self.deployment or self.health_url or self.condition):
            raise ValueError("one of deployment, health_url and condition is required")
        return self


class TrafficPolicy(ServicePolicy):
    """How traffic comes back, step by step (step 6)."""

    mode: Literal["none", "ingress", "replicas"] = Field(
        default="none",
        description="ingress: by the weight of an NGINX canary Ingress, whose main Ingress leads elsewhere, for "
        "example to a maintenance page. replicas: by a share of the pods that there were. none: it is not in our "
        "hands.",
    )
    ingress: Key | None = Field(default=None, description="Name of the canary Ingress, in the service's namespace.")
    replicas: int | None = Field(
        default=None, ge=1, le=1000, description="All pods that there are to be; as many as at the run's beginning."
    )
    steps: tuple[int, ...] = Field(default=(10, 25, 50, 100), description="Per cent, rising; the last is 100.")
    hold: timedelta = Field(
        default=timedelta(minutes=5), gt=timedelta(0), description="How long a step must be well before the next."
    )
    failures: int = Field(default=3, ge=1, le=20, description="Steps that fail before people are asked.")

    @model_validator(mode="after")
    def _complete(self) -> "TrafficPolicy":
        if self.mode == "ingress" and not self.ingress:
            raise ValueError("ingress: required for the mode ingress")
        rising = all(lower < higher for lower, higher in pairwise((0, *self.steps)))
        if not self.steps or not rising or self.steps[-1] != _ALL:
            raise ValueError("steps: must rise, from above 0 to 100")
        return self


class RecoveryPolicy(ServicePolicy):
    """How a whole service is brought back (runbook 7.2)."""

    order: tuple[tuple[Key, ...], ...] = Field(
        default=(),
        description="Stages of Deployments in the service's namespace; a stage is complete before the next begins. "
        "Where it is empty: all Deployments of the namespace, and the service's own after them.",
    )
    rollout_within: timedelta = Field(
        default=timedelta(minutes=10), gt=timedelta(0), description="For one stage's Deployments to be complete."
    )
    components: dict[Key, Component] = Field(
        default_factory=dict, description="By name; every Deployment that was restarted is looked at anyway."
    )
    steady_for: timedelta = Field(
        default=timedelta(minutes=1), ge=timedelta(0), description="Health must hold this long to count."
    )
    tests: tuple[SmokeCheck, ...] = Field(default=(), description="Integration tests over HTTP.")
    test_job: SmokeJob | None = Field(default=None, description="Integration tests as a Kubernetes Job.")
    traffic: TrafficPolicy = TrafficPolicy()
    error_rate_below: float = Field(
        default=0.05, gt=0, le=1, description="Of the service's metrics.error_rate, in steps of traffic and afterwards."
    )
    p95_latency_below: timedelta | None = Field(
        default=None, gt=timedelta(0), description="Of its metrics.p95_latency; not judged where nothing is given."
    )
    breach_for: timedelta = Field(
        default=timedelta(seconds=30), ge=timedelta(0), description="How long a limit must be broken to count."
    )
    watch_for: timedelta = Field(default=timedelta(hours=24), ge=timedelta(0), description="7.2 step 7: a day.")
    watch_every: timedelta = Field(
        default=timedelta(hours=1), gt=timedelta(0), description="From one look to the next (7.2 step 7)."
    )
    look_for: timedelta = Field(
        default=timedelta(minutes=1), gt=timedelta(0), description="How long each look of the watch takes."
    )
    sample_every: timedelta = Field(
        default=timedelta(seconds=5), gt=timedelta(0), description="How often figures are read within a step or look."
    )
    decision_timeout: timedelta = Field(
        default=timedelta(minutes=15),
        gt=timedelta(0),
        description="Until escalation, and then again until the default.",
    )

    @model_validator(mode="after")
    def _once(self) -> "RecoveryPolicy":
        named = [name for stage in self.order for name in stage]
        if len(set(named)) < len(named):
            raise ValueError("order: a Deployment stands in it twice")
        if self.look_for >= self.watch_every:
            raise ValueError("look_for: must be shorter than watch_every")
        return self
