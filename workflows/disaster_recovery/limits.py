"""What counts as well while traffic comes back and afterwards (runbook 7.2 steps 6 and 7)."""

from datetime import timedelta

from activities.catalogue import Service
from activities.release_watch import Figures, WatchRelease


def watching(service: Service, lasting: timedelta) -> WatchRelease:
    """Watch health and figures against the policy's own limits: what was usual before an outage, the outage hides."""
    policy, metrics = service.recovery, service.metrics
    latency = policy.p95_latency_below
    return WatchRelease(
        error_rate=metrics.error_rate,
        p95_latency=metrics.p95_latency if latency else None,
        health_url=service.health_url,
        baseline=Figures(p95_latency=latency.total_seconds() if latency else None),
        error_rate_rise=policy.error_rate_below,
        latency_factor=1.0,
        breach_for=policy.breach_for,
        lasting=lasting,
        every=policy.sample_every,
    )
