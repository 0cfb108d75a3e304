"""How a service is, by component: GREEN, YELLOW or RED, and why (runbook 1.1 step 3): `tensafe-admin health`.

What could not be looked at is YELLOW: it is not known to be well.
"""

import asyncio
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel
from temporalio import workflow

from activities.autoscaling.autoscalers import Autoscalers
from activities.autoscaling.states import AutoscalingRequest
from activities.catalogue.daily import DailyPolicy
from activities.catalogue.service import Service
from activities.kubernetes.cluster import Kubernetes, Workload
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.monitoring.prometheus import Metrics, MetricsRequest, PrometheusMetrics
from workflows.platform import policies
from workflows.platform.runbook import Runbook

Colour = Literal["GREEN", "YELLOW", "RED"]
_ORDER: tuple[Colour, ...] = ("GREEN", "YELLOW", "RED")
_DATABASE = "database: its condition"


class Part(BaseModel):
    """One component."""

    name: str
    colour: Colour
    why: str

    def __str__(self) -> str:
        return f"{self.name} {self.colour}: {self.why}"


class Condition(BaseModel):
    """All components of one service; the first is the service itself."""

    parts: list[Part]
    held: list[str]
    """What runs keep as it is."""
    figures: dict[str, float | None]
    """Of `[services.NAME.metrics]`; None where there is no number."""

    @property
    def overall(self) -> Colour:
        """The worst of them."""
        return worst(part.colour for part in self.parts)

    @property
    def down(self) -> bool:
        """Whether the service itself is RED."""
        return self.parts[0].colour == "RED"

    @property
    def unwell(self) -> list[Part]:
        """Those that are not GREEN, the worst first."""
        return sorted((p for p in self.parts if p.colour != "GREEN"), key=lambda part: -_ORDER.index(part.colour))


def worst(colours: Iterable[Colour]) -> Colour:
    """Give the worst of some colours."""
    return max(colours, key=_ORDER.index, default="GREEN")


async def condition(run: Runbook, section: str, service: Service, policy: DailyPolicy) -> Condition:
    """Look at everything at once."""
    look = _Look(run, section, service, policy)
    itself, (pods, held), (autoscaler, paused), (figures, metrics), others = await asyncio.gather(
        look.itself(), look.pods(), look.autoscaler(), look.metrics(), look.others()
    )
    parts = [itself, pods, *autoscaler, *metrics, *others]
    return Condition(parts=parts, held=[*held, *paused], figures=figures)


class _Look:
    def __init__(self, run: Runbook, section: str, service: Service, policy: DailyPolicy) -> None:
        self.run, self.section, self.service, self.policy = run, section, service, policy

    async def itself(self) -> Part:
        found = await self._health(self.service.name, self.service.health_url)
        if found.colour == "RED":
            # A blip at that moment is not how it is.
            await workflow.sleep(self.policy.confirm_after, summary="until it is asked again")
            found = await self._health(self.service.name, self.service.health_url)
        return found

    async def _health(self, name: str, url: str) -> Part:
        seen = await self.run.attempt(
            self.section, f"Health of {name}", HealthChecks.check, HealthRequest(url=url), policies.READ
        )
        if seen is None:
            return Part(name=name, colour="YELLOW", why="it could not be asked")
        colour: Colour = "GREEN" if seen.healthy else "YELLOW" if seen.status == "degraded" else "RED"
        return Part(name=name, colour=colour, why=str(seen))

    async def pods(self) -> tuple[Part, list[str]]:
        where = Workload(namespace=self.service.namespace, deployment=self.service.deployment)
        seen = await self.run.attempt(self.section, "Deployment", Kubernetes.deployment, where, policies.READ)
        if seen is None:
            return Part(name="pods", colour="YELLOW", why="the cluster could not be asked"), []
        if seen.stopped:
            kept = f"kept without replicas by {seen.stopped}"
            return Part(name="pods", colour="YELLOW", why=kept), [f"deployment {seen.name}: {kept}"]
        ready = min(seen.ready, seen.replicas)
        colour: Colour = "RED" if not ready else "GREEN" if ready == seen.replicas else "YELLOW"
        return Part(name="pods", colour=colour, why=f"{seen.ready} of {seen.replicas} ready"), []

    async def autoscaler(self) -> tuple[list[Part], list[str]]:
        service = self.service
        if service.hpa is None and service.scaled_object is None:
            return [], []
        asked = AutoscalingRequest(namespace=service.namespace, hpa=service.hpa, scaled_object=service.scaled_object)
        seen = await self.run.attempt(self.section, "Autoscaler", Autoscalers.read, asked, policies.READ)
        if seen is None:
            return [Part(name="autoscaler", colour="YELLOW", why="it could not be asked")], []
        held = [f"autoscaler: held by {seen.held_by}"] if seen.held_by else []
        if seen.held_until and held:
            held = [f"{held[0]} until {seen.held_until:%Y-%m-%d %H:%M} UTC"]
        well = not (seen.held_by or seen.scaled_object_paused or seen.at_maximum)
        return [Part(name="autoscaler", colour="GREEN" if well else "YELLOW", why=str(seen))], held

    async def metrics(self) -> tuple[dict[str, float | None], list[Part]]:
        queries = {name: query for name, query in self.service.metrics if query}
        database = self.service.database.failover.up if self.service.database else None
        if database:
            queries[_DATABASE] = database
        if not queries:
            return {}, []
        seen = await self.run.attempt(
            self.section, "Metrics", PrometheusMetrics.snapshot, MetricsRequest(queries=queries), policies.READ
        )
        if seen is None:
            return {}, [Part(name="metrics", colour="YELLOW", why="Prometheus could not be asked")]
        limits = {
            "error_rate": self.policy.error_rate_below,
            "p95_latency": self.policy.p95_latency_below.total_seconds(),
        }
        parts = [_limited(name, seen, limit) for name, limit in limits.items() if name in queries]
        if database:
            parts.append(_database(seen))
        return {name: value for name, value in seen.values.items() if name != _DATABASE}, parts

    async def others(self) -> list[Part]:
        """Look at what the settings name as components of the service (7.2)."""
        parts = self.service.recovery.components
        asked = [self._health(name, part.health_url) for name, part in parts.items() if part.health_url]
        healthy = await asyncio.gather(*asked)
        conditions = {name: part.condition for name, part in parts.items() if part.condition}
        if not conditions:
            return list(healthy)
        seen = await self.run.attempt(
            self.section, "Conditions", PrometheusMetrics.snapshot, MetricsRequest(queries=conditions), policies.READ
        )
        if seen is None:
            return [*healthy, *(Part(name=n, colour="YELLOW", why="Prometheus could not be asked") for n in conditions)]
        return [*healthy, *(_holding(name, seen) for name in conditions)]


def _limited(name: str, seen: Metrics, limit: float) -> Part:
    value, what = seen.values.get(name), name.replace("_", " ")
    if value is None:
        return Part(name=what, colour="YELLOW", why=seen.errors.get(name) or "no data")
    shown = f"{value:.2%}" if name == "error_rate" else f"{value:.3g} s"
    return Part(name=what, colour="GREEN" if value < limit else "YELLOW", why=shown)


def _database(seen: Metrics) -> Part:
    value = seen.values.get(_DATABASE)
    if value is None:
        return Part(name="database", colour="YELLOW", why=seen.errors.get(_DATABASE) or "no data")
    return Part(name="database", colour="GREEN" if value > 0 else "RED", why="up" if value > 0 else "down")


def _holding(name: str, seen: Metrics) -> Part:
    if seen.values.get(name) is None:
        return Part(name=name, colour="RED", why=f"its condition {seen.errors.get(name) or 'does not hold'}")
    return Part(name=name, colour="GREEN", why="its condition holds")
