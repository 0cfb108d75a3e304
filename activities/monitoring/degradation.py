"""A degraded service, watched until it is well again, or down (runbook 2.3 steps 3 and 6)."""

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.errors import ActivityFailure
from activities.common.heartbeat import Progress, resume, turns
from activities.monitoring.figures import Breaches, Figures, worse
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.monitoring.prometheus import Prometheus, QueryError
from audit.text import counted
from audit.wording import duration, percent

if TYPE_CHECKING:
    from libraries import httpx

Verdict = Literal["better", "degraded", "down", "blind"]


class Limits(BaseModel):
    """What a service must keep within to count as well; exceeded, not met (runbook 2.1: `> 5 %`, `> 2 s`)."""

    error_rate: float = Field(description="Share of failed requests, 0 to 1.")
    p95_latency: float = Field(description="Seconds.")

    def beyond(self, figures: Figures) -> list[str]:
        """Name the figures that are beyond, in words."""
        found = []
        if figures.error_rate is not None and figures.error_rate > self.error_rate:
            found.append(f"error rate {percent(figures.error_rate)}, above {percent(self.error_rate)}")
        if figures.p95_latency is not None and figures.p95_latency > self.p95_latency:
            found.append(f"p95 {duration(figures.p95_latency)}, above {duration(self.p95_latency)}")
        return found


class WatchDegradation(BaseModel):
    """Watch for a time; an outage ends it early."""

    error_rate: str | None = Field(description="PromQL; None is not watched.")
    p95_latency: str | None
    health_url: str
    limits: Limits
    better_for: timedelta = Field(description="How long all must be well at the end.")
    down_for: timedelta = Field(description="How long the service must not be healthy to count as down.")
    lasting: timedelta
    every: timedelta
    ends_when_better: bool = Field(default=False, description="Not at the end of the time, but as soon as it is well.")


class DegradationWatched(BaseModel):
    """What was seen."""

    verdict: Verdict
    why: str = Field(default="", description="What is beyond its limit, or can't be seen; empty where all is well.")
    last: Figures
    worst: Figures
    samples: int
    blind: int = Field(description="Samples in which a watched figure had no value.")
    seconds: float

    def __str__(self) -> str:
        why = f": {self.why}" if self.why else ""
        blind = f", {self.blind} of them blind" if self.blind else ""
        return (
            f"{self.verdict}{why}; {counted(self.samples, 'sample')} in {self.seconds:.0f} s{blind}; "
            f"at the end {self.last}; worst {self.worst}"
        )


class _Watching(Progress):
    """What a watch remembers between attempts."""

    samples: int = 0
    blind: int = 0
    worst: Figures = Figures()
    down: dict[str, float] = Field(default_factory=dict, description="Seconds that it has been seen down.")
    well: float = Field(default=0.0, description="Seconds that all has been seen well, without a break.")


class DegradationWatch:
    """Watches through Prometheus' HTTP API and the service's health endpoint."""

    def __init__(self, http: "httpx.Client", prometheus_url: str, health: HealthChecks | None = None) -> None:
        self._prometheus = Prometheus(http, prometheus_url)
        self._health = health or HealthChecks(http)

    @activity.defn(name="degradation.watch")
    def watch(self, request: WatchDegradation) -> DegradationWatched:
        """Watch, heartbeating, resuming where an attempt before was (`watch -n 10 tensafe-admin health`, step 6).

        `better`: at the end every watched figure has been within its limits, and health not bad, for `better_for`.
        `down`: health has been unhealthy or unreachable for `down_for`; ends the watch at once. `blind`: at the end a
        watched figure has no value, so nobody can say. Else `degraded`.

        The time between two attempts, which nobody saw, counts for nothing.
        """
        progress = resume(_Watching)
        down = Breaches(progress.down, request.down_for.total_seconds())
        seen_at: float | None = None
        elapsed, now, trouble = 0.0, Figures(), ""
        ends = request.lasting.total_seconds()
        # What a dead worker has not seen to its end is seen a little longer, before anybody calls it degraded, also
        # where none was alive at the end.
        longer = 2 * request.better_for
        for elapsed in turns(progress, within=request.lasting + longer, every=request.every, at_least=longer):
            now = Figures(error_rate=self._value(request.error_rate), p95_latency=self._value(request.p95_latency))
            trouble = self._trouble(request.health_url)
            blind = _blind(request, now)
            progress.samples += 1
            progress.blind += blind
            progress.worst = worse(progress.worst, now)
            if trouble or blind or request.limits.beyond(now):
                progress.well, seen_at = 0.0, None
            else:
                progress.well += elapsed - seen_at if seen_at is not None else 0.0
                seen_at = elapsed
            if down.see(elapsed, {"health": trouble}):
                break
            settled = progress.well >= request.better_for.total_seconds()
            if (settled and (request.ends_when_better or elapsed >= ends)) or (seen_at is None and elapsed >= ends):
                break
        beyond = [*([trouble] if trouble else []), *request.limits.beyond(now)]
        verdict: Verdict = "degraded"
        if down.broken:
            verdict, beyond = "down", [down.told]
        elif not beyond and _blind(request, now):
            verdict, beyond = "blind", [f"no value of {' and '.join(_unseen(request, now))}"]
        elif not beyond and progress.well >= request.better_for.total_seconds():
            verdict = "better"
        elif not beyond:
            beyond = [f"within its limits for {progress.well:.0f} s only"]
        return DegradationWatched(
            verdict=verdict,
            why="; ".join(beyond),
            last=now,
            worst=progress.worst,
            samples=progress.samples,
            blind=progress.blind,
            seconds=elapsed,
        )

    def _value(self, query: str | None) -> float | None:
        try:
            return None if query is None else self._prometheus.value(query)
        except (QueryError, ActivityFailure):
            return None  # counted as blind

    def _trouble(self, url: str) -> str:
        health = self._health.check(HealthRequest(url=url))
        return f"health {health}" if health.status in {"unhealthy", "unreachable"} else ""


def _unseen(request: WatchDegradation, now: Figures) -> list[str]:
    watched = {"the error rate": (request.error_rate, now.error_rate), "p95": (request.p95_latency, now.p95_latency)}
    return [name for name, (query, value) in watched.items() if query is not None and value is None]


def _blind(request: WatchDegradation, now: Figures) -> bool:
    return bool(_unseen(request, now))
