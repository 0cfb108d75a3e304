"""Is every component of a service well (runbook 7.2 step 4): `tensafe-admin health --component all`."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from activities.catalogue.recovery import Component
from activities.catalogue.service import Service
from activities.kubernetes.cluster import AwaitRollout, Kubernetes
from activities.monitoring.figures import Figures
from activities.monitoring.health import HealthChecks, SteadyRequest
from activities.monitoring.prometheus import MetricsRequest, PrometheusMetrics
from activities.releases.watch import WatchRelease
from workflows.platform import policies
from workflows.platform.runbook import Runbook

_HEALTH_WITHIN = timedelta(seconds=30)


async def rollouts(run: Runbook, section: str, service: Service, deployments: Iterable[str]) -> dict[str, str]:
    """Wait for rollouts; gives what is wrong, by Deployment, of those that didn't complete."""
    names = list(deployments)
    within = service.recovery.rollout_within
    found = await asyncio.gather(
        *(
            run.attempt(
                section,
                f"Rollout of {name}",
                Kubernetes.await_rollout,
                AwaitRollout(namespace=service.namespace, deployment=name, timeout=within),
                policies.WAIT.lasting(within),
            )
            for name in names
        )
    )
    why = {
        name: "its rollout could not be watched" if rollout is None else f"its rollout is {rollout}"
        for name, rollout in zip(names, found, strict=True)
        if rollout is None or not rollout.complete
    }
    return {name: f"deployment/{name}: {text}" for name, text in why.items()}


async def ailing(run: Runbook, service: Service, restarted: Iterable[str]) -> list[str]:
    """Look at all of them; gives a sentence for each that isn't well.

    These are the service itself, the components of the settings, and every Deployment that was restarted.
    """
    parts = service.recovery.components
    named = [part.deployment for part in parts.values() if part.deployment]
    complete, healthy, holding = await asyncio.gather(
        rollouts(run, "7.2/4", service, dict.fromkeys([*restarted, *named])),
        _healthy(run, service),
        _holding(run, parts),
    )
    return [*complete.values(), *healthy, *holding]


async def _healthy(run: Runbook, service: Service) -> list[str]:
    policy = service.recovery
    urls = {name: part.health_url for name, part in policy.components.items() if part.health_url}
    urls = {service.name: service.health_url} | urls
    limit = policy.steady_for + _HEALTH_WITHIN
    found = await asyncio.gather(
        *(
            run.attempt(
                "7.2/4",
                f"Health of {name}",
                HealthChecks.steady,
                SteadyRequest(url=url, steady_for=policy.steady_for, give_up_after=limit),
                policies.WAIT.lasting(limit),
            )
            for name, url in urls.items()
        )
    )
    return [
        f"{name}: {'its health could not be asked' if health is None else health}"
        for name, health in zip(urls, found, strict=True)
        if health is None or not health.steady
    ]


async def _holding(run: Runbook, parts: dict[str, Component]) -> list[str]:
    conditions = {name: part.condition for name, part in parts.items() if part.condition}
    if not conditions:
        return []
    found = await run.attempt(
        "7.2/4", "Conditions", PrometheusMetrics.snapshot, MetricsRequest(queries=conditions), policies.READ
    )
    if found is None:
        return [f"{', '.join(conditions)}: Prometheus could not be asked"]
    return [
        f"{name}: its condition {found.errors.get(name) or 'does not hold'}"
        for name in conditions
        if found.values.get(name) is None
    ]


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
