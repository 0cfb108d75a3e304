"""What is broken: `tensafe-admin health --verbose` (runbook 7.2 step 1), all looked at at once and summed up."""

import asyncio
from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import workflow

from activities.catalogue.database import DatabasePolicy
from activities.catalogue.service import Service
from activities.database.backups.backups import BackupCatalogue, Backups, BackupsRequest
from activities.database.replication.replication import Replication, Standing, StandingRequest
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest
from activities.database.upkeep.postgres import Postgres
from activities.kubernetes.cluster import EventsRequest, Kubernetes, PodsRequest
from activities.kubernetes.database_secrets import DatabaseSecrets, PointedAt
from activities.kubernetes.images import parse
from activities.kubernetes.states import Events, Pods
from activities.kubernetes.workloads import WorkloadStates
from activities.monitoring.health import Health, HealthChecks, HealthRequest
from workflows.platform import policies
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold

_CATALOGUE = timedelta(seconds=30)


class DatabaseDamage(BaseModel):
    """The database as far as it could be asked; None is what could not be read."""

    primary: str | None = Field(description="The server that the service is pointed at.")
    reachable: bool | None = Field(description="It takes connections, and writes.")
    replicas: list[str] = Field(default_factory=list, description="That live, and could be promoted.")
    trouble: str = Field(default="", description="What is wrong with it or its data; empty: nothing was seen.")
    backups: BackupCatalogue | None = None

    @property
    def lost(self) -> bool:
        """It is down or damaged, and no replica could take over."""
        return bool(self.trouble) and not (self.reachable is False and self.replicas)

    def __str__(self) -> str:
        state = self.trouble or ("answers, takes writes" if self.reachable else "could not be asked")
        replicas = f"; replicas: {', '.join(self.replicas)}" if self.replicas else ""
        backups = f"; {self.backups}" if self.backups else "; backups could not be read"
        return f"{self.primary or 'no known server'}: {state}{replicas}{backups}"


class Damage(BaseModel):
    """The picture; None is what could not be read."""

    workloads: WorkloadStates
    pods: Pods | None
    events: Events | None
    health: Health | None
    database: DatabaseDamage | None = None
    seen_at: datetime = Field(description="People are asked meanwhile, and take their time.")

    @property
    def well(self) -> bool:
        """The service says that it is healthy."""
        return self.health is not None and self.health.healthy

    def version_of(self, deployment: str) -> str:
        """Name what a Deployment runs by its image's tag; empty where it is not there."""
        images = next((state.images for state in self.workloads.items if state.name == deployment), [])
        return ", ".join(dict.fromkeys(parse(image).shown for image in images))

    def __str__(self) -> str:
        """Give a line a part, for people."""
        parts = {
            "service": self.health or "could not be asked",
            "deployments": self.workloads,
            "pods": self.pods or "could not be read",
            "events": self.events or "could not be read",
            **({"database": self.database} if self.database else {}),
        }
        return "\n".join(f"• {name}: {found}" for name, found in parts.items())


async def assess(run: Runbook, service: Service, workloads: WorkloadStates) -> Damage:
    """Look at everything else; what can't be read is told, and keeps nothing from going on."""
    pods = PodsRequest(namespace=service.namespace, selector=service.selector)
    found, events, health, database = await asyncio.gather(
        run.attempt("7.2/1", "Pods", Kubernetes.pods, pods, policies.READ),
        run.attempt("7.2/1", "Events", Kubernetes.events, EventsRequest(namespace=service.namespace), policies.READ),
        run.attempt("7.2/1", "Health", HealthChecks.check, HealthRequest(url=service.health_url), policies.READ),
        look_at_database(run, service),
    )
    return Damage(
        workloads=workloads, pods=found, events=events, health=health, database=database, seen_at=workflow.now()
    )


async def look_at_database(run: Runbook, service: Service) -> DatabaseDamage | None:
    """Look at it; None where the service has none."""
    policy = service.database
    if policy is None:
        return None
    secrets = DataHold(run, "7.2/1", service, policy).secrets
    pointed, standing, backups = await asyncio.gather(
        run.attempt("7.2/1", "Primary", DatabaseSecrets.pointed_at, secrets, policies.READ),
        run.attempt(
            "7.2/1",
            "Database servers",
            Replication.standing,
            StandingRequest(database=policy.name, servers=tuple(policy.servers)),
            policies.READ,
        ),
        run.attempt(
            "7.2/1",
            "Backups",
            Backups.catalogue,
            BackupsRequest(database=policy.name),
            policies.READ.lasting(_CATALOGUE),
        ),
    )
    return await _judge(run, policy, pointed, standing, backups)


async def _judge(
    run: Runbook,
    policy: DatabasePolicy,
    pointed: PointedAt | None,
    standing: Standing | None,
    backups: BackupCatalogue | None,
) -> DatabaseDamage:
    servers = standing.servers if standing else {}
    name = pointed.server if pointed else None
    primary = servers.get(name) if name else None
    live = [other for other, found in servers.items() if other != name and found.reachable and found.in_recovery]
    reachable = None if primary is None else primary.reachable and not primary.in_recovery
    trouble = ""
    if primary is not None and not reachable:
        trouble = f"{name} is {primary}"
    elif name is not None and reachable:
        trouble = _damage(await _health(run, policy, name))
    elif pointed is not None and name is None:
        trouble = "the service is pointed at none of the servers that settings know"
    return DatabaseDamage(primary=name, reachable=reachable, replicas=live, trouble=trouble, backups=backups)


async def _health(run: Runbook, policy: DatabasePolicy, name: str) -> DatabaseHealth | None:
    asked = DatabaseHealthRequest(database=policy.name, server=name, policy=policy.maintenance)
    return await run.attempt("7.2/1", "Database health", Postgres.health, asked, policies.READ)


def _damage(health: DatabaseHealth | None) -> str:
    """Say what speaks for damaged data; that it is slow or full is no reason to restore."""
    failures = health.checksum_failures if health else None
    return f"{failures} checksum failures: data is damaged" if failures else ""
