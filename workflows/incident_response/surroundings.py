"""What a degraded service needs of others, looked at: its dependencies and its database (runbook 2.3 step 4)."""

import asyncio
from datetime import timedelta

from pydantic import BaseModel, Field
from temporalio.exceptions import ActivityError

from activities.catalogue.recovery import Component
from activities.catalogue.service import Service
from activities.common.errors import Refused
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest
from activities.database.upkeep.postgres import Postgres
from activities.kubernetes.cluster import Kubernetes, Workload
from activities.monitoring.health import HealthChecks, HealthRequest
from activities.monitoring.prometheus import MetricsRequest, PrometheusMetrics
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold

_SECTION = "2.3/4"


class Surroundings(BaseModel):
    """What was found; a thing that could not be looked at is trouble as well."""

    dependencies: dict[str, str] = Field(default_factory=dict, description="What is wrong with each that isn't well.")
    connections: float | None = Field(default=None, description="Share of the database's connections in use.")
    replicas_behind: dict[str, timedelta] = Field(default_factory=dict, description="Of the database, by name.")
    database: str = Field(default="", description="What is wrong with the database itself; empty where nothing is.")

    def __str__(self) -> str:
        told = [f"{name}: {trouble}" for name, trouble in self.dependencies.items()]
        told += [f"database: {self.database}"] if self.database else []
        told += [f"{self.connections:.0%} of the database's connections in use"] if self.connections is not None else []
        told += [
            f"replica {name} is {late.total_seconds():.0f} s behind" for name, late in self.replicas_behind.items()
        ]
        return "; ".join(told) or "nothing that the service needs of others is known"


async def look(run: Runbook, service: Service, section: str = _SECTION) -> Surroundings:
    """Look at all of it at once; what can't be asked is said to be so, and stops nothing here."""
    dependencies, found = await asyncio.gather(_dependencies(run, service, section), _database(run, service, section))
    found.dependencies = dependencies
    return found


async def _dependencies(run: Runbook, service: Service, section: str) -> dict[str, str]:
    parts = service.degradation.dependencies
    told = await asyncio.gather(*(_ailing(run, service, section, name, part) for name, part in parts.items()))
    return {name: trouble for name, trouble in zip(parts, told, strict=True) if trouble}


async def _ailing(run: Runbook, service: Service, section: str, name: str, part: Component) -> str:
    told = []
    if part.health_url:
        request = HealthRequest(url=part.health_url)
        health = await run.attempt(section, f"Health of {name}", HealthChecks.check, request, policies.READ)
        if health is None or not health.healthy:
            told.append("its health could not be asked" if health is None else str(health))
    if part.condition:
        asked = MetricsRequest(queries={name: part.condition})
        values = await run.attempt(section, f"Condition of {name}", PrometheusMetrics.snapshot, asked, policies.READ)
        if values is None or values.values.get(name) is None:
            why = "Prometheus could not be asked" if values is None else values.errors.get(name) or "does not hold"
            told.append(f"its condition: {why}")
    if part.deployment:
        where = Workload(namespace=service.namespace, deployment=part.deployment)
        state = await run.attempt(section, f"Deployment of {name}", Kubernetes.deployment, where, policies.READ)
        if state is None or state.ready < state.replicas:
            told.append("its pods could not be read" if state is None else f"{state.ready} of {state.replicas} ready")
    return ", ".join(told)


async def _database(run: Runbook, service: Service, section: str) -> Surroundings:
    policy = service.database
    if policy is None:
        return Surroundings()
    try:
        primary = await DataHold(run, section, service, policy).primary()
    except ActivityError:
        return Surroundings(database="which server it is could not be read")
    except Refused as refusal:
        return Surroundings(database=str(refusal))
    request = DatabaseHealthRequest(database=policy.name, server=primary, policy=policy.maintenance)
    health = await run.attempt(section, f"Health of the database on {primary}", Postgres.health, request, policies.READ)
    if health is None:
        return Surroundings(database=f"{primary} doesn't answer, or not in time")
    behind = service.degradation.replica_behind
    return Surroundings(
        connections=health.connections / health.connections_limit if health.connections_limit else None,
        replicas_behind=_behind(health, behind),
        database=f"{primary} is a replica, and takes no writes" if health.in_recovery else "",
    )


def _behind(health: DatabaseHealth, limit: timedelta) -> dict[str, timedelta]:
    lags = {
        replica.name: timedelta(seconds=replica.lag_seconds)
        for replica in health.replicas
        if replica.replays and replica.lag_seconds is not None
    }
    return {name: late for name, late in lags.items() if late > limit}
