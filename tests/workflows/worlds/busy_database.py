"""The world of a maintenance: a primary whose tables and indexes need work, and sessions that run long."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError

from activities.catalogue.database import MaintenancePolicy
from activities.common.effects import Change
from activities.database.backups.backups import BackupCatalogue, BackupsRequest, BackupVerdict, VerifyBackup
from activities.database.backups.system import Backup
from activities.database.upkeep.ending import Ended, EndSession
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest, Figures, ReplicaState
from activities.database.upkeep.postgres import DropLeftover, ReindexIndex, StopWork, VacuumTable
from activities.database.upkeep.sessions import QueriesRequest, RunningQueries, RunningSession
from activities.database.upkeep.tables import IndexState, TableState
from tests.workflows.worlds.pointed import Pointed, a_database
from tests.workflows.worlds.world import instead

NOON = datetime(2026, 2, 4, 12, tzinfo=UTC)


def table(name: str = "jobs", **fields: Any) -> TableState:
    """A table that needs nothing."""
    known = {"oid": 1, "schema_name": "public", "size": 2**30, "rows": 100_000, "dead": 0, "changed": 0, "age": 1000}
    return TableState.model_validate({**known, "name": name, **fields})


def index(name: str = "jobs_state", **fields: Any) -> IndexState:
    """An index that needs nothing."""
    known = {"oid": 7, "schema_name": "public", "table": "jobs", "size": 2**30, "bloat": 0.1}
    return IndexState.model_validate({**known, "name": name, **fields})


def session(pid: int, **fields: Any) -> RunningSession:
    """A report that runs for five minutes."""
    known = {
        "backend_start": NOON,
        "xact_start": NOON,
        "query_start": NOON,
        "state": "active",
        "user": "tensafe",
        "application": "report",
        "seconds": 300,
        "query": "SELECT ?",
        "long": True,
    }
    return RunningSession.model_validate({**known, "pid": pid, **fields})


class BusyDatabase(Pointed):
    """Healthy, with one replica and a verified backup, unless the test makes it otherwise."""

    def __init__(self, **policy: Any) -> None:
        super().__init__()
        self.database = a_database("primary", "replica-1", "spare-1", maintenance=MaintenancePolicy(**policy))
        self.service = self.service.model_copy(update={"database": self.database})
        self.tables: list[TableState] = []
        self.indexes: list[IndexState] = []
        self.sessions: list[RunningSession] = []
        self.facts: dict[str, Any] = {}
        self.unknown: list[str] = []
        self.backups = [Backup(backup_id="b1", status="done", ended_at=datetime.now(UTC), verified=True)]
        self.good = True
        self.refused: set[str] = set()
        """Tables and indexes at which the work fails for good."""
        self.slow = ""
        """The table at which it goes on until it is cancelled."""
        self.at_work = False

    def activities(self) -> list[Callable[..., Any]]:
        return instead(super().activities(), *self._facts(), *self._changes())

    def _health(self, request: DatabaseHealthRequest) -> DatabaseHealth:
        named = {*request.tables}
        return DatabaseHealth(
            at=NOON,
            version="18.3",
            tables=[t.model_copy(update={"named": t.name in named}) for t in self.tables],
            indexes=[
                i.model_copy(update={"named": bool({i.name, i.table} & {*request.indexes})}) for i in self.indexes
            ],
            figures=Figures(
                size=2**33,
                dead_rows=sum(t.dead for t in self.tables),
                index_waste=sum(i.wasted for i in self.indexes),
                oldest_age=1000,
                invalid_indexes=sum(not i.valid for i in self.indexes),
                connections=20,
            ),
            unknown=self.unknown,
            **{
                "in_recovery": False,
                "size": 2**33,
                "connections": 20,
                "connections_limit": 100,
                "reads": 0,
                "cache_hit": None,
                "checksum_failures": 0,
                "xid_age": 1000,
                "multixact_age": 0,
                "freeze_max_age": 200_000_000,
                "multixact_freeze_max_age": 400_000_000,
                "autovacuum": True,
                "replicas": [ReplicaState(name="replica-1", state="streaming")],
                **self.facts,
            },
        )

    def _facts(self) -> list[Callable[..., Any]]:
        world = self

        @activity.defn(name="postgres.health")
        def health(request: DatabaseHealthRequest) -> DatabaseHealth:
            world._up("postgres.health")
            return world._health(request)

        @activity.defn(name="postgres.queries")
        def queries(request: QueriesRequest) -> RunningQueries:
            world._up("postgres.queries")
            found = [s.model_copy(update={"named": s.pid in request.named}) for s in world.sessions]
            missing = [pid for pid in request.named if pid not in {s.pid for s in found}]
            return RunningQueries(items=found, missing=missing)

        @activity.defn(name="backups.list")
        def backups(request: BackupsRequest) -> BackupCatalogue:
            world._up("backups.list")
            return BackupCatalogue(items=world.backups, earliest=None, latest=None)

        return [health, queries, backups]

    def _changes(self) -> list[Callable[..., Any]]:
        world = self

        def work(name: str) -> None:
            if name in world.refused:
                raise ApplicationError("it took longer than it may", type="Refused", non_retryable=True)
            world.at_work = name == world.slow
            while world.at_work and not activity.is_cancelled():
                activity.heartbeat()
                time.sleep(0.02)
            if world.at_work:
                raise CancelledError("cancelled")

        @activity.defn(name="postgres.vacuum", no_thread_cancel_exception=True)
        def vacuum(request: VacuumTable) -> Change:
            work(request.table)
            if applied := world._done("postgres.vacuum", request):
                clean = {"dead": 0, "changed": 0}
                world.tables = [t.model_copy(update=clean if t.name == request.table else {}) for t in world.tables]
            return Change(target=request.table, after="vacuumed", applied=applied)

        @activity.defn(name="postgres.reindex", no_thread_cancel_exception=True)
        def reindex(request: ReindexIndex) -> Change:
            work(request.index)
            if applied := world._done("postgres.reindex", request):
                new = {"bloat": 0.0, "valid": True}
                world.indexes = [i.model_copy(update=new if i.name == request.index else {}) for i in world.indexes]
            return Change(target=request.index, after="rebuilt", applied=applied)

        @activity.defn(name="postgres.drop_leftover")
        def drop_leftover(request: DropLeftover) -> Change:
            if applied := world._done("postgres.drop_leftover", request):
                world.indexes = [i for i in world.indexes if i.oid != request.oid]
            return Change(target=request.index, after="dropped", applied=applied)

        @activity.defn(name="postgres.stop_work")
        def stop_work(request: StopWork) -> Change:
            world._done("postgres.stop_work", request)
            world.at_work = False
            return Change(target="database", after="nothing was left", applied=False)

        @activity.defn(name="postgres.end_session")
        def end_session(request: EndSession) -> Ended:
            world._done("postgres.end_session", request)
            world.sessions = [s for s in world.sessions if s.pid != request.pid]
            return Ended(target=f"session/{request.pid}", after="cancelled", applied=True, how="cancelled")

        @activity.defn(name="backups.verify")
        def verify(request: VerifyBackup) -> BackupVerdict:
            world._done("backups.verify", request)
            return BackupVerdict(target="b", after="checked", applied=True, good=world.good, detail="base.tar differs")

        return [vacuum, reindex, drop_leftover, stop_work, end_session, verify]


LONG_AGO = datetime.now(UTC) - timedelta(days=30)
