"""Error rate and latency of a fresh release, watched against what they were before it (runbook 4.1 step 6)."""

from datetime import timedelta

import httpx
from pydantic import BaseModel, Field
from temporalio import activity


class BaselineRequest(BaseModel):
    """What was usual: averages over a time that ends now."""

    error_rate: str | None = Field(description="PromQL; None is not watched.")
    p95_latency: str | None
    over: timedelta


class Figures(BaseModel):
    """Error rate (0 to 1) and p95 latency (seconds); None: no data."""

    error_rate: float | None = None
    p95_latency: float | None = None

    def __str__(self) -> str:
        """For example `error rate 0.10 %, p95 41 ms`."""
        raise NotImplementedError


class WatchRelease(BaseModel):
    """Watch for a time, and stop at a breach."""

    error_rate: str | None
    p95_latency: str | None
    health_url: str
    baseline: Figures
    error_rate_rise: float
    latency_factor: float
    breach_for: timedelta = Field(description="How long a figure must be beyond its limit without a break.")
    lasting: timedelta
    every: timedelta


class Watched(BaseModel):
    """What was seen."""

    breach: str = Field(default="", description="Which figure broke which limit, in a sentence; empty: none did.")
    samples: int
    blind: int = Field(description="Samples in which a watched figure had no value.")
    seconds: float
    worst: Figures

    def __str__(self) -> str:
        """One line for the timeline."""
        raise NotImplementedError


class ReleaseWatch:
    """Watches through Prometheus' HTTP API and the service's health endpoint."""

    def __init__(self, http: httpx.Client, prometheus_url: str) -> None:
        self._http = http
        self._prometheus_url = prometheus_url

    @activity.defn(name="release_watch.baseline")
    def baseline(self, request: BaselineRequest) -> Figures:
        """Read what is usual; raises `Unavailable` when Prometheus doesn't answer."""
        raise NotImplementedError

    @activity.defn(name="release_watch.watch")
    def watch(self, request: WatchRelease) -> Watched:
        """Watch, heartbeating, resuming where an attempt before was; a breach ends it at once.

        Limits: error rate above baseline + `error_rate_rise`; latency above baseline × `latency_factor`; health not
        healthy. A figure without a baseline counts from zero errors, and its latency is not judged.
        """
        raise NotImplementedError
