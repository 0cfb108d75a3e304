"""Error rate and latency of a fresh release, watched against what they were before it (runbook 4.1 step 6)."""

import math
from datetime import UTC, datetime, timedelta
from statistics import fmean
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field
from temporalio import activity

from activities.common.errors import ActivityFailure, Misconfigured
from activities.common.heartbeat import Progress, resume, turns
from activities.monitoring.figures import Breaches, Figures, worse
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.monitoring.prometheus import Prometheus, QueryError
from audit.text import counted
from audit.wording import duration, percent

if TYPE_CHECKING:
    from libraries import httpx

_SAMPLES = 60
_STEPS = (timedelta(seconds=1), timedelta(minutes=1))


class BaselineRequest(BaseModel):
    """What was usual: averages over a time that ends now."""

    error_rate: str | None = Field(description="PromQL; None is not watched.")
    p95_latency: str | None
    over: timedelta


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
    unsettled: str = Field(
        default="", description="Which figures were beyond their limits at the end, though not for long enough."
    )
    remarks: list[str] = Field(
        default_factory=list, description="What speaks against that judgement: figures that were bad or missing before."
    )
    samples: int
    blind: int = Field(description="Samples in which a watched figure had no value.")
    why_blind: str = Field(default="", description="Of the last of them, where Prometheus had something to say.")
    seconds: float
    worst: Figures

    def __str__(self) -> str:
        """One line for the timeline."""
        told = self.breach or (f"no breach, but at the end {self.unsettled}" if self.unsettled else "no breach")
        why = f" ({self.why_blind})" if self.why_blind else ""
        blind = f", {self.blind} of them blind{why}" if self.blind else ""
        seen = f"{counted(self.samples, 'sample')} in {self.seconds:.0f} s{blind}"
        return "; ".join([told, seen, f"worst: {self.worst}", *self.remarks])


class _Watching(Progress):
    """What a watch remembers between attempts."""

    samples: int = 0
    blind: int = 0
    why_blind: str = ""
    worst: Figures = Figures()
    beyond: dict[str, float] = Field(default_factory=dict, description="Seconds that each figure has been beyond.")


class ReleaseWatch:
    """Watches through Prometheus' HTTP API and the service's health endpoint."""

    def __init__(self, http: "httpx.Client", prometheus_url: str, health: HealthChecks | None = None) -> None:
        self._prometheus = Prometheus(http, prometheus_url)
        self._health = health or HealthChecks(http)

    @activity.defn(name="release_watch.baseline")
    def baseline(self, request: BaselineRequest) -> Figures:
        """Read what is usual; moments without a value (no requests, no scrape) don't count.

        Raises:
            Unavailable, RateLimited, Refused: Prometheus doesn't answer, or not us.
            Misconfigured: it can't evaluate a query, or a query doesn't give one number.

        """
        return Figures(
            error_rate=self._usual("error_rate", request.error_rate, request.over),
            p95_latency=self._usual("p95_latency", request.p95_latency, request.over),
        )

    @activity.defn(name="release_watch.watch")
    def watch(self, request: WatchRelease) -> Watched:
        """Watch, heartbeating, resuming where an attempt before was; a breach ends it at once.

        Limits: error rate above baseline + `error_rate_rise`; latency above baseline × `latency_factor`; health
        unhealthy or unreachable (degraded is not a breach). A figure without a baseline counts from zero errors, and
        its latency is not judged.

        A breach must hold for `breach_for`, from sample to sample. A sample without a value, Prometheus being away
        and the time between two attempts neither end that nor count towards it.
        """
        progress = resume(_Watching)
        breaches = Breaches(progress.beyond, request.breach_for.total_seconds())
        elapsed = 0.0
        for elapsed in turns(progress, within=request.lasting, every=request.every):
            now, why = self._sample(request)
            progress.samples += 1
            progress.blind += _blind(request, now)
            progress.why_blind = why or progress.why_blind
            progress.worst = worse(progress.worst, now)
            if breaches.see(elapsed, {**_judged(request, now), "health": self._trouble(request.health_url)}):
                break
        return Watched(
            breach=breaches.told if breaches.broken else "",
            unsettled="" if breaches.broken else breaches.told,
            remarks=_remarks(request),
            samples=progress.samples,
            blind=progress.blind,
            why_blind=progress.why_blind,
            seconds=elapsed,
            worst=progress.worst,
        )

    def _usual(self, name: str, query: str | None, over: timedelta) -> float | None:
        if query is None:
            return None
        end = datetime.now(UTC)
        step = min(max(over / _SAMPLES, _STEPS[0]), _STEPS[1])
        try:
            found = self._prometheus.series(query, end - over, end, step)
        except QueryError as error:
            raise Misconfigured(f"the query of {name}: {error}") from None
        # Labels may change on the way (a version among them): several series are fine, but not at the same moment.
        values = [(at, float(text)) for series in found for at, text in series.get("values", ())]
        if len({at for at, _ in values}) < len(values):
            raise Misconfigured(f"the query of {name}: gives several series, where one number is wanted")
        finite = [value for _, value in values if math.isfinite(value)]
        return fmean(finite) if finite else None

    def _sample(self, request: WatchRelease) -> tuple[Figures, str]:
        """Give the figures, and why Prometheus gives none of them: that is counted as blind."""
        found: dict[str, float | None] = {}
        why = ""
        for name, query in (("error_rate", request.error_rate), ("p95_latency", request.p95_latency)):
            try:
                found[name] = None if query is None else self._prometheus.value(query)
            except QueryError as error:
                why = f"the query of {name}: {error}"
            except ActivityFailure as error:
                why = error.message
        return Figures(**found), why

    def _trouble(self, url: str) -> str:
        health = self._health.check(HealthRequest(url=url))
        return f"health {health}" if health.status in {"unhealthy", "unreachable"} else ""


def _judged(request: WatchRelease, now: Figures) -> dict[str, str | None]:
    judged: dict[str, str | None] = {}
    if request.error_rate is not None:
        usual = request.baseline.error_rate or 0.0
        limit = usual + request.error_rate_rise
        why = f"error rate {percent(now.error_rate)}, above {percent(limit)}"
        if request.baseline.error_rate is not None:
            why += f" ({percent(usual)} is usual)"
        judged["error rate"] = None if now.error_rate is None else why if now.error_rate > limit else ""
    if request.p95_latency is not None and request.baseline.p95_latency:
        usual = request.baseline.p95_latency
        limit = usual * request.latency_factor
        why = f"p95 {duration(now.p95_latency)}, above {duration(limit)}"
        if limit != usual:
            why += f" ({duration(usual)} is usual)"
        judged["p95"] = None if now.p95_latency is None else why if now.p95_latency > limit else ""
    return judged


def _remarks(request: WatchRelease) -> list[str]:
    found, usual = [], request.baseline.error_rate
    if request.error_rate is not None and usual is not None and usual > request.error_rate_rise:
        found.append(f"error rate was {percent(usual)} before it already")
    if request.p95_latency is not None and not request.baseline.p95_latency:
        found.append("p95 was not judged, since there is none from before to compare it with")
    return found


def _blind(request: WatchRelease, now: Figures) -> bool:
    errors_unseen = request.error_rate is not None and now.error_rate is None
    return errors_unseen or (request.p95_latency is not None and now.p95_latency is None)
