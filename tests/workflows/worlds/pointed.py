"""The Secret that points a service at its database, for the worlds of 6.2, 7.1 and 7.3."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.catalogue.database import DatabasePolicy, ServerPolicy
from activities.catalogue.service import Service
from activities.common.effects import Change
from activities.database.replication.slots import LogicalReplication, LogicalSlot
from activities.database.servers.poolers import PausePooler, ReconnectPooler
from activities.database.servers.servers import OnServer
from activities.kubernetes.database_secrets import DatabaseSecretRequest, HoldSecret, PointAt, PointedAt, ReleaseSecret
from activities.kubernetes.workload_holds import (
    AwaitWorkload,
    GiveWorkloadBack,
    RestartWorkload,
    StopWorkload,
    WorkloadSeen,
)
from tests.workflows.worlds.world import World, instead

SECRET = "tensafe-database"
_UNTIL = datetime(2026, 3, 1, tzinfo=UTC)


def a_database(*names: str, **policies: Any) -> DatabasePolicy:
    """`tensafe` on the servers of these names, each with a Secret of its own; `spare-…` are spares."""
    servers = {name: ServerPolicy(secret=f"{SECRET}-{name}", spare=name.startswith("spare")) for name in names}
    return DatabasePolicy(name="tensafe", secret=SECRET, servers=servers, **policies)


def another(name: str, *servers: str, **fields: Any) -> Service:
    """A second service of the same database, which has Secrets of these servers."""
    secret = f"{name}-database"
    own = {server: ServerPolicy(secret=f"{secret}-{server}") for server in servers}
    database = DatabasePolicy(name="tensafe", secret=secret, servers=own, poolers=tuple(fields.pop("poolers", ())))
    return Service(
        namespace=name,
        deployment=name,
        selector=f"app={name}",
        health_url="http://127.0.0.1:1/health",
        database=database,
        **fields,
    )


class Pointed(World):
    """Where the service is pointed at, and which run holds which Secret."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.pointed: str | None = "primary"
        self.held: dict[str, str] = {}
        self.also_pointed: dict[str, str] = {}
        """Other services' Secrets → the server that each was pointed at."""
        self.stopped: list[str] = []
        """Workloads beside the service's own Deployment."""
        self.jobs: dict[str, str] = {}
        """Workload → the Jobs of it that don't end."""
        self.not_ready: dict[str, list[str]] = {}
        """Workload → what each look finds that it still lacks, one after the other."""
        self.slots: list[LogicalSlot] = []
        self.poolers: dict[str, str] = {}
        """Pooler → `paused`, or the server that its clients were sent to."""
        self.deaf_poolers: set[str] = set()
        """That no command reaches."""

    def activities(self) -> list[Callable[..., Any]]:
        return instead(super().activities(), *self._secret(), *self._workloads(), *self._poolers())

    def _workloads(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="workload_holds.stop")
        def stop(request: StopWorkload) -> Change:
            if applied := world._done("workload_holds.stop", request):
                world.stopped.append(str(request))
            return Change(target=str(request), after="stopped", applied=applied)

        @activity.defn(name="workload_holds.give_back")
        def give_back(request: GiveWorkloadBack) -> Change:
            if applied := world._done("workload_holds.give_back", request):
                world.stopped.remove(str(request))
            return Change(target=str(request), after="as it was", applied=applied)

        @activity.defn(name="workload_holds.restart")
        def restart(request: RestartWorkload) -> Change:
            return Change(
                target=str(request), after="restarting", applied=world._done("workload_holds.restart", request)
            )

        @activity.defn(name="workload_holds.await")
        def await_it(request: AwaitWorkload) -> WorkloadSeen:
            lacks = world.not_ready.get(str(request), [])
            ready = lacks.pop(0) if lacks and request.want == "ready" else ""
            seen = world.jobs.get(str(request), "") if request.want == "stopped" else ready
            return WorkloadSeen(complete=not seen, waiting_for=seen)

        @activity.defn(name="logical_slots.read")
        def slots(request: OnServer) -> LogicalReplication:
            world._up("logical_slots.read")
            return LogicalReplication(slots=world.slots, subscriptions=[])

        return [stop, give_back, restart, await_it, slots]

    def _poolers(self) -> list[Callable[..., Any]]:
        world = self

        def heard(request: PausePooler | ReconnectPooler) -> None:
            if request.pooler in world.deaf_poolers:
                raise ApplicationError("no route to its machine", type="Misconfigured", non_retryable=True)

        @activity.defn(name="poolers.pause")
        def pause(request: PausePooler) -> Change:
            heard(request)
            if applied := world._done("poolers.pause", request):
                world.poolers[request.pooler] = "paused"
            return Change(target=request.pooler, after="paused", applied=applied)

        @activity.defn(name="poolers.reconnect")
        def reconnect(request: ReconnectPooler) -> Change:
            heard(request)
            if applied := world._done("poolers.reconnect", request):
                world.poolers[request.pooler] = request.server
            return Change(target=request.pooler, after=request.server, applied=applied)

        return [pause, reconnect]

    def _secret(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="database_secrets.pointed_at")
        def pointed_at(request: DatabaseSecretRequest) -> PointedAt:
            world._up("database_secrets.pointed_at")
            held = world.held.get(request.secret)
            server = world.pointed if request.secret == SECRET else None
            return PointedAt(server=server, held_by=held, held_until=_UNTIL if held else None)

        @activity.defn(name="database_secrets.hold")
        def hold(request: HoldSecret) -> Change:
            run = request.effect.workflow_id
            if world.held.get(request.secret, run) != run:
                raise ApplicationError("held by another run", type="Refused", non_retryable=True)
            if applied := world._done("database_secrets.hold", request):
                world.held[request.secret] = run
            return Change(target=request.secret, after="held", applied=applied)

        @activity.defn(name="database_secrets.release")
        def release(request: ReleaseSecret) -> Change:
            applied = world._done("database_secrets.release", request)
            if applied and world.held.get(request.secret) == request.effect.workflow_id:
                del world.held[request.secret]
            return Change(target=request.secret, after="free", applied=applied)

        @activity.defn(name="database_secrets.point")
        def point(request: PointAt) -> Change:
            if request.secret != SECRET:
                if applied := world._done("database_secrets.point", request):
                    world.also_pointed[request.secret] = request.server
                return Change(target=request.secret, after=request.server, applied=applied)
            if request.instead_of is not None and world.pointed != request.instead_of:
                raise ApplicationError("pointed elsewhere", type="Refused", non_retryable=True)
            if applied := world._done("database_secrets.point", request):
                world.pointed = request.server
            return Change(target=request.secret, after=request.server, applied=applied)

        return [pointed_at, hold, release, point]
