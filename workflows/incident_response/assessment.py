"""The initial assessment of runbook 2.2 steps 3 to 5 (and 2.3): all facts at once, each of them dispensable."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.states import AutoscalingRequest
from activities.catalogue.service import Service
from activities.kubernetes.cluster import EventsRequest, Kubernetes, PodsRequest, Workload
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.monitoring.prometheus import MetricsRequest, PrometheusMetrics
from activities.records.activities import Records
from activities.records.deployments import RecentDeploymentsRequest
from workflows.incident_response.diagnosis import Facts
from workflows.platform.policies import READ
from workflows.platform.runbook import Runbook

_DEPLOYMENTS_OF = timedelta(days=7)


class Assessment:
    """Facts being read: `first` is done when the decisive ones are there, `rest` when all are."""

    def __init__(self, run: Runbook, service: Service) -> None:
        self.facts = Facts()
        where = Workload(namespace=service.namespace, deployment=service.deployment)
        scalers = AutoscalingRequest(namespace=service.namespace, hpa=service.hpa, scaled_object=service.scaled_object)
        pods = PodsRequest(namespace=service.namespace, selector=service.selector)
        queries = {name: query for name, query in service.metrics if query is not None}
        recent = RecentDeploymentsRequest(service=service.name, since=_DEPLOYMENTS_OF)

        def read(field: str, step: Coroutine[Any, Any, Any]) -> "asyncio.Task[None]":
            async def fill() -> None:
                setattr(self.facts, field, await step)

            return run.background(fill())

        self.first = asyncio.gather(
            read("pods", run.attempt("2.2/3", "Pods", Kubernetes.pods, pods, READ)),
            read("deployment", run.attempt("2.2/4", "Rollout history", Kubernetes.deployment, where, READ)),
            read(
                "health",
                run.attempt("2.2/5", "Health", HealthChecks.check, HealthRequest(url=service.health_url), READ),
            ),
        )
        self.rest = asyncio.gather(
            read(
                "events",
                run.attempt("2.2/3", "Events", Kubernetes.events, EventsRequest(namespace=service.namespace), READ),
            ),
            read("autoscaling", run.attempt("2.2/3", "Autoscaling", Autoscalers.read, scalers, READ)),
            read(
                "metrics",
                run.attempt("2.2/5", "Metrics", PrometheusMetrics.snapshot, MetricsRequest(queries=queries), READ),
            ),
            read("deployments", run.attempt("2.2/4", "Recorded deployments", Records.recent_deployments, recent, READ)),
        )
