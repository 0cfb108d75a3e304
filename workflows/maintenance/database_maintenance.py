"""Database maintenance (runbook 6.2): what the health asks for, and long queries where a person says so."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.database import DatabasePolicy
from activities.catalogue.service import Service
from activities.common.errors import InvalidInput, Refused
from activities.common.text import Name
from activities.common.times import Time
from activities.database.servers.servers import OnServer
from activities.database.upkeep.health import DatabaseHealth, DatabaseHealthRequest, Figures
from activities.database.upkeep.postgres import Postgres
from workflows.maintenance.long_queries import LongQueries
from workflows.maintenance.needs import needs
from workflows.maintenance.newest_backup import check_newest_backup
from workflows.maintenance.upkeep import Upkeep
from workflows.platform import policies
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold
from workflows.shared.desk import Desk

_LOOKED_WITHIN = timedelta(minutes=1)
"""For a look at a database's health, beside the exact measuring that settings allow."""


class DatabaseMaintenanceRequest(ServiceRequest):
    """Look after a service's database: only what it needs is done, and nothing stops its writes."""

    tables: list[Name] = Field(
        default_factory=list, max_length=100, description="Vacuumed whatever their state, e.g. public.orders."
    )
    reindex: list[Name] = Field(
        default_factory=list,
        max_length=100,
        description="Indexes, or tables whose indexes, are rebuilt whatever their state.",
    )
    min_duration: Annotated[timedelta, Time()] = Field(
        default=timedelta(seconds=60),
        ge=timedelta(seconds=1),
        description="A query, or a transaction that idles, is long from here, e.g. PT60S.",
    )
    end: list[int] = Field(
        default_factory=list,
        max_length=20,
        description="PIDs of sessions to be offered for ending, a superuser's too; a person must approve.",
    )


class DatabaseMaintenanceResult(BaseModel):
    """What became of it."""

    service: str
    database: str
    server: str
    needed: list[str] = Field(default_factory=list, description="What was decided at the first look, and why.")
    before: Figures
    after: Figures | None = Field(default=None, description="None where it could not be looked at again.")
    vacuumed: list[str] = Field(default_factory=list, description="Tables, analyzed too.")
    reindexed: list[str] = Field(default_factory=list)
    dropped: list[str] = Field(default_factory=list, description="Invalid indexes that nobody needed.")
    kept: list[str] = Field(default_factory=list, description="Invalid indexes that nobody needs and nobody dropped.")
    ended: list[str] = Field(default_factory=list, description="Sessions, and how: cancelled, terminated, gone.")
    failed: list[str] = Field(default_factory=list, description="What should have been done and was not.")
    problems: list[str] = Field(default_factory=list, description="What vacuum and reindex can't mend.")
    backup: str = Field(default="", description="How the newest backup is.")


@workflow.defn
class DatabaseMaintenance(Runbook):
    """Look, decide, vacuum, reindex, list and ask, look again."""

    SECTION = "6.2"

    @workflow.run
    async def run(self, request: DatabaseMaintenanceRequest) -> DatabaseMaintenanceResult:
        """Follow 6.2.

        Raises:
            InvalidInput: the service is not in the catalogue, or has no database; a table, index or session of the
                request is not there. Nothing has been changed then.
            Refused: the service is pointed at a replica or at an unknown server, or another run moves its data.
            Unavailable: the primary does not answer.

        """
        service = await self.begin(request, title="Database maintenance", service=request.service, severity="P4")
        database = service.database
        if database is None:
            raise InvalidInput(
                f"service: settings name no database of {service.name} (services.{service.name}.database)"
            )
        self.title = f"Database maintenance of {service.name}"
        try:
            return await self._maintain(request, service, database)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise

    async def _maintain(
        self, request: DatabaseMaintenanceRequest, service: Service, database: DatabasePolicy
    ) -> DatabaseMaintenanceResult:
        policy = database.maintenance
        desk = Desk(self, service, "P4", self.title, "DB")
        self.phase("Health")
        primary = await DataHold(self, "6.2/1", service, database).primary()
        at = OnServer(database=database.name, server=primary)
        look = DatabaseHealthRequest(**at.model_dump(), policy=policy, tables=request.tables, indexes=request.reindex)
        health = await self._look(look)
        queries = LongQueries(self, desk, at, policy, request.min_duration)
        await queries.name(request.end)
        replicas = sum(not server.spare for server in database.servers.values()) - 1
        problems = list(health.problems(policy, replicas=replicas))
        for problem in problems:
            self.say("problem", problem, section="6.2/1")
        todo = needs(health, policy)
        needed = list(todo.told())
        for told in needed:
            self.say("decision", told, section="6.2/1")
        upkeep = Upkeep(self, desk, at, policy)
        if request.end:  # whoever names sessions doesn't want to wait for hours of vacuum
            self.phase("Long queries")
            await queries.decide()
        if todo.tables:
            self.phase("Vacuum")
            await upkeep.vacuum(todo, health.at)
        if todo.indexes or todo.leftovers:
            self.phase("Reindex")
            await upkeep.reindex(todo)
        if not request.end:
            self.phase("Long queries")
            await queries.decide()
        self.phase("Newest backup")
        backup = await check_newest_backup(self, desk, database.name, policy)
        self.phase("Health again")
        after = None
        if not (self.dry_run or (todo.nothing and not queries.ended)):
            after = await self.attempt("6.2", "Health again", Postgres.health, look, self._policy(look))
        result = DatabaseMaintenanceResult(
            service=service.name,
            database=database.name,
            server=primary,
            needed=needed,
            before=health.figures,
            after=after.figures if after else None,
            vacuumed=upkeep.vacuumed,
            reindexed=upkeep.reindexed,
            dropped=upkeep.dropped,
            kept=upkeep.kept,
            ended=queries.ended,
            failed=[*upkeep.failed, *queries.failed],
            problems=problems,
            backup=backup,
        )
        await self._tell(desk, result)
        await self.settle()
        only_kept = bool(upkeep.kept) and not (upkeep.vacuumed or upkeep.reindexed or upkeep.dropped)
        self.finish(self._outcome(result, nothing=todo.nothing or only_kept))
        return result

    async def _look(self, look: DatabaseHealthRequest) -> DatabaseHealth:
        """Look before anything is changed.

        Raises:
            InvalidInput: a table or index of the request is not there, or can't be rebuilt while writes go on.
            Refused: it is a replica.

        """
        try:
            health = await self.step("6.2/1", "Health", Postgres.health, look, self._policy(look))
        except ActivityError as error:
            if not is_cancelled_exception(error):
                self.say("problem", f"has {look.server} failed? `runbooks start database-failover` (7.1) looks")
            raise
        if health.in_recovery:
            raise Refused(
                f"the service is pointed at {look.server}, which is a replica: maintenance is done on the primary. "
                "Correct the service's Secret, or see database-failover (7.1)"
            )
        wrong = [
            *(f"{name}: there is none" for name in health.unknown),
            *(
                f"reindex: {index.full_name} can't be rebuilt while writes go on"
                for index in health.indexes
                if index.name in look.indexes or index.full_name in look.indexes
                if not index.concurrently
            ),
        ]
        if wrong:
            raise InvalidInput("; ".join(wrong))
        return health

    def _policy(self, look: DatabaseHealthRequest) -> policies.Policy:
        return policies.READ.lasting(look.policy.measure_within + _LOOKED_WITHIN)

    async def _tell(self, desk: Desk, result: DatabaseMaintenanceResult) -> None:
        """Tell the channel what was done, and what is wrong; nothing where nothing was."""
        done = [
            ("vacuumed", result.vacuumed),
            ("reindexed", result.reindexed),
            ("dropped", result.dropped),
            ("ended", result.ended),
            ("kept, though invalid", result.kept),
            (":warning: not done", result.failed),
            (":warning: problems", result.problems),
        ]
        lines = [f"• {what}: {', '.join(names)}" for what, names in done if names]
        if not lines:
            return
        if result.after:
            lines.append(f"before: {result.before}\nafter: {result.after}")
        await desk.tell("summary", "\n".join([f":broom: {self.title}", *lines]))

    def _outcome(self, result: DatabaseMaintenanceResult, *, nothing: bool) -> str:
        if self.dry_run:
            return "planned"
        if result.failed:
            return "maintained in part"
        if nothing and not result.ended:
            return "problems found" if result.problems or result.kept else "healthy"
        return "maintained"
