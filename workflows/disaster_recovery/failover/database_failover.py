"""Database failover (runbook 7.1): the primary fails, a replica takes its place, and there are never two."""

import asyncio
from datetime import datetime, timedelta

from pydantic import BaseModel, Field
from temporalio import workflow
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import InvalidInput, Refused
from activities.common.text import Name, Reason
from activities.database.backups.backups import Backups, FollowPrimary
from activities.database.replication.replication import Promoted, Replication, Standing, StandingRequest, Watched
from activities.kubernetes.database_secrets import DatabaseSecrets
from activities.records.alerts import Alert
from workflows.disaster_recovery.failover.candidate import (
    Candidate,
    by_another,
    choose,
    question,
    taken_over,
)
from workflows.disaster_recovery.failover.detection import Detection
from workflows.disaster_recovery.failover.failover_parts import FailoverParts
from workflows.disaster_recovery.failover.failover_record import document
from workflows.disaster_recovery.failover.old_primary import OldPrimary
from workflows.disaster_recovery.failover.takeover import Takeover
from workflows.platform import policies
from workflows.platform.clocks import Clock
from workflows.platform.lease import finally_do
from workflows.platform.requests import ServiceRequest
from workflows.platform.resets import Earlier, before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold
from workflows.shared.database_users import UsersOfTheDatabase
from workflows.shared.incident import Incident
from workflows.shared.verification import verify

_HOLD = timedelta(hours=1)
"""Beside the time for decisions. A run that is terminated leaves the hold to its end."""


class DatabaseFailoverRequest(ServiceRequest):
    """Fail a service's database over to a replica, where its primary does not answer."""

    promote: Name | None = Field(
        default=None, description="The replica, e.g. replica-1; the one with most of the log otherwise."
    )
    reason: Reason = Field(default="", description="What was seen, for the record.")


class DatabaseFailoverResult(BaseModel):
    """What became of it."""

    service: str
    database: str
    primary: str = Field(description="The primary now.")
    old_primary: str
    failed_over: bool
    old_primary_is: str = Field(default="", description="`fenced`, `a replica`; empty where nothing was changed.")
    healthy: bool = Field(default=False, description="The service uses the new primary, and is healthy.")
    timeline: int = 0
    silent_since: datetime | None = Field(default=None, description="The first look without an answer.")
    writable_since: datetime | None = Field(default=None, description="A transaction was committed on the new primary.")
    last_commit_at: datetime | None = Field(default=None, description="Of the old primary's transactions, as got here.")
    log_up_to: str | None = Field(default=None, description="End of the old primary's log as got here (LSN).")
    possible_loss: str = Field(default="", description="What the old primary may have that the new one hasn't.")
    incident_id: str = ""


@workflow.defn
class DatabaseFailover(Runbook):
    """Detect, choose, ask, fence, promote, point, verify, document; then the old primary's return."""

    SECTION = "7.1"
    NEEDS_ITS_PAST = True

    def __init__(self) -> None:
        super().__init__()
        self.parts: FailoverParts | None = None
        self.result: DatabaseFailoverResult | None = None
        self.users: UsersOfTheDatabase | None = None
        self.incident: Incident | None = None
        self._resolutions = 0
        self._archiving: asyncio.Task[None] | None = None
        self._returning = False
        self._before: Earlier | None = None
        self._fired_again: Alert | None = None

    @workflow.run
    async def run(self, request: DatabaseFailoverRequest) -> DatabaseFailoverResult:
        """Follow 7.1.

        Raises:
            InvalidInput: the service is not in the catalogue, or has no database; there is no such replica.
            Refused: no replica can take the primary's place, or another run changes where the data is.

        """
        self.epoch = (workflow.info().continued_run_id or "")[:8]  # the next failover of an alert, see `_end`
        service = await self.begin(request, title="Database failover", service=request.service, severity="P1")
        if service.database is None:
            raise InvalidInput(
                f"service: settings name no database of {service.name} (services.{service.name}.database)"
            )
        database = service.database
        self.title = f"Database failover of {service.name}"
        self.phase("Detect")
        hold = DataHold(self, "7.1/1", service, database)
        primary = await hold.primary()
        await self._look_at_what_was_begun()
        if self._before is not None and (pointed := self._before.answer(DatabaseSecrets.pointed_at)) is not None:
            primary = pointed.server or primary
        result = self.result = DatabaseFailoverResult(
            service=service.name, database=database.name, primary=primary, old_primary=primary, failed_over=False
        )
        detection = Detection(self, database, primary, request.promote)
        self.parts = FailoverParts(service, database, hold, detection)
        try:
            return await self._respond(request, service)
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled, after the failover" if result.failed_over else "cancelled")
                if self.incident is not None and not result.failed_over:
                    await asyncio.shield(asyncio.create_task(self.incident.abandon()))
            raise

    @property
    def _parts(self) -> FailoverParts:
        assert self.parts is not None, "the primary is known"
        return self.parts

    @property
    def _so_far(self) -> DatabaseFailoverResult:
        assert self.result is not None, "the primary is known"
        return self.result

    async def _look_at_what_was_begun(self) -> None:
        """Learn whether the run was reset in the middle of a failover: it goes on with what it had pinned."""
        if "fence" in self.begun_before and "release-secret" not in self.begun_before:
            reads = (DatabaseSecrets.pointed_at, Replication.watch, Replication.standing)
            self._before = await before_reset(self, "7.1/1", self.first_effect("fence"), *reads)
        elif "fence" in self.begun_before and "rejoin" not in self.begun_before:
            self.say("problem", "The old primary's return is not asked about again: it stays fenced until people act")

    async def _respond(self, request: DatabaseFailoverRequest, service: Service) -> DatabaseFailoverResult:
        parts = self._parts
        watched = await parts.detection.detect(self._before)
        if watched.answers and not self.dry_run:
            if "hold-secret" in self.begun_before:  # what was held before a reset is nobody's any more
                self.users = await self._others()
                await self._let_go()
            return await self._end(request, "primary answers")
        self._so_far.silent_since = watched.first_failed_at
        takeover, outcome = await finally_do(self._fail_over(request, service, watched), self._let_go)
        if takeover is not None and takeover.promoted is not None and not self.dry_run:
            self.phase("The old primary's return")
            self._returning = True
            old = OldPrimary(self, takeover.desk, parts.database, parts.hold, self._so_far.old_primary)
            self._so_far.old_primary_is = await old.offer_return(
                takeover.promoted, until=lambda: self._fired_again is not None
            )
        return await self._end(request, outcome)

    # -- choose and ask ----------------------------------------------------------------------------------

    async def _fail_over(
        self, request: DatabaseFailoverRequest, service: Service, watched: Watched
    ) -> tuple[Takeover | None, str]:
        """Bring a replica into the primary's place, if it is approved; gives the outcome."""
        await self._hold()
        self.users = await self._others()
        incident = self.incident = self._open_incident(request, service)
        self.phase("Candidate")
        standing = await self._parts.detection.standing(self._before)
        try:
            candidate = self._candidate(standing, watched, request.promote)
        except Refused as error:
            await incident.escalate(error.message)
            raise
        self._so_far.possible_loss = candidate.loss
        self.say("decision", f"{candidate.server} is the candidate: {candidate.loss}", section="7.1/2")
        also = await self._also(candidate)
        promoting = self._before is not None and "promote" in self.begun_before
        if not promoting and (objection := await self._objection(incident, watched, standing, candidate, also)):
            return None, objection
        await self._hold()
        takeover = Takeover(
            self,
            incident,
            service,
            self._parts.database,
            self._parts.hold,
            primary=watched.primary,
            candidate=candidate,
            replicas=self._parts.detection.replicas,
            users=self.users,
        )
        task = asyncio.create_task(self._take_over(incident, takeover))
        try:
            return takeover, await asyncio.shield(task)
        except asyncio.CancelledError:
            takeover.cancelled = True
            await task
            if self._archiving is not None:
                await self._archiving
            raise

    def _candidate(self, standing: Standing, watched: Watched, wanted: str | None) -> Candidate:
        """Choose; not beside a server that takes writes already. What a reset run has promoted itself is none."""
        taken = taken_over(standing) if self._before is None else ""
        if taken and workflow.patched("another-takes-writes"):
            raise Refused(taken)
        if by_another(wanted, standing, watched) and workflow.patched("through-another-replica"):
            return choose(standing, watched, wanted, through_another=True)
        return choose(standing, watched, wanted)

    async def _hold(self) -> None:
        lasting = _HOLD + 2 * self._parts.database.failover.decision_timeout
        await self._parts.hold.take(lasting)
        if self.users is not None:
            await self.users.take("7.1/1", lasting)

    async def _let_go(self) -> None:
        await self._parts.hold.release()
        if self.users is not None:
            await self.users.release("7.1/3")

    async def _others(self) -> UsersOfTheDatabase | None:
        """Find who else uses the database, and hold their Secrets too; not in runs from before that was looked at."""
        if not workflow.patched("users-of-the-database"):
            return None
        users = UsersOfTheDatabase(self, self._parts.service, self._parts.database)
        await users.find("7.1/1")
        self.users = users
        await users.take("7.1/1", _HOLD + 2 * self._parts.database.failover.decision_timeout)
        return users

    async def _also(self, candidate: Candidate) -> list[str]:
        """Say what else the candidate's promotion is about, before anything is stopped."""
        if self.users is None:
            return []
        logical = await self.users.logical("7.1/1", candidate.server)
        slots = ["Logical slots: could not be read"] if logical is None else logical.of_candidate(candidate.server)
        also = [*self.users.plan(candidate.server), *slots]
        for line in also:
            self.say("decision", line, section="7.1/2")
        return also

    def _open_incident(self, request: DatabaseFailoverRequest, service: Service) -> Incident:
        """Document (step 5) from the beginning: who is asked for a decision must know of what."""
        incident = Incident(self, service, "P1", self.title, None)
        self._so_far.incident_id = incident.id

        async def late(clock: Clock) -> None:
            await incident.escalate(f"deadline missed: {clock.name}")

        self.clocks.start("Acknowledged", service.incident.acknowledge_within, late)
        self.background(incident.begin(request.alert))
        return incident

    async def _objection(
        self, incident: Incident, watched: Watched, standing: Standing, candidate: Candidate, also: list[str]
    ) -> str:
        """Ask; empty where it is approved. A primary that comes back before it is fenced is left alone."""
        rounds = 0
        while True:
            rounds += 1
            asked = question(rounds, candidate, watched, standing, self._parts.database.failover)
            asked.evidence.extend(also)
            if self.dry_run:
                self.say("decision", f"would ask: {asked.title}")
                return ""
            self.background(incident.ask(asked))
            seen = self._resolutions
            answer = await self.ask(
                asked,
                escalate=incident.escalate,
                until=lambda seen=seen: self._resolutions > seen,  # type: ignore[misc]
            )
            if answer.choice == "leave":
                await incident.escalate(f"nobody was promoted ({answer.by}): the database is in human hands")
                return "not approved"
            again = await self._parts.detection.once_more(watched)
            if again.answers:
                await incident.tell("back", f":heavy_check_mark: {again}. Nothing was changed.")
                return "primary answers"
            if answer.choice == "promote":
                return ""

    # -- change, verify, document ------------------------------------------------------------------------

    async def _take_over(self, incident: Incident, takeover: Takeover) -> str:
        """Go through with it, also where the run is cancelled meanwhile; gives the outcome."""
        result = self._so_far
        await takeover.carry_out()
        if self.dry_run:
            return "planned"
        result.old_primary_is = "fenced" if takeover.fenced else ""
        if (promoted := takeover.promoted) is None:
            outcome = "not promoted" if takeover.fenced else "not fenced"
            await incident.escalate(f"{outcome}: the database is in human hands")
            return outcome
        seen = takeover.candidate.standing
        result.failed_over, result.primary = True, promoted.server
        result.timeline, result.writable_since = promoted.timeline, promoted.at
        result.last_commit_at = promoted.last_commit_at or seen.last_commit_at
        result.log_up_to = promoted.replayed or seen.received
        self._archiving = self.background(self._archive(incident, promoted))
        self.phase("Verify")
        result.healthy = await self._verified(takeover, promoted)
        self.phase("Document")
        await document(incident, takeover, silent_since=result.silent_since, healthy=result.healthy)
        return "failed over" if result.healthy else "failed over, not healthy"

    async def _verified(self, takeover: Takeover, promoted: Promoted) -> bool:
        """Look at the servers, the rollout and the service's health (step 4)."""
        servers = StandingRequest(database=self._parts.database.name, servers=(promoted.server, *takeover.others))
        await self.attempt("7.1/4", "Database", Replication.standing, servers, policies.READ)
        if not takeover.pointed:
            return False
        ailing = await self.users.verify("7.1/4") if self.users is not None else []
        for trouble in ailing:
            self.say("problem", trouble, section="7.1/4")
        verified = await verify(self, "7.1/4", takeover.service, takeover.service.scaling.ready_within)
        if verified.trouble:
            self.say("problem", verified.trouble, section="7.1/4")
        return verified.ok and not ailing

    async def _archive(self, incident: Incident, promoted: Promoted) -> None:
        """Have the new primary's log archived: without it nothing after the failover can be restored."""
        follow = FollowPrimary(
            database=self._parts.database.name, server=promoted.server, effect=self.effect("archive")
        )
        title = f"Archive the log of {promoted.server}"
        if await self.attempt("7.1/4", title, Backups.follow, follow, policies.WAIT) is None:
            await incident.escalate(f"the log of {promoted.server} is not archived: no restore reaches past now")

    async def _end(self, request: DatabaseFailoverRequest, outcome: str) -> DatabaseFailoverResult:
        self.clocks.stop()
        await self.settle()
        self.finish(outcome)
        if self._fired_again is not None:
            # The new primary fails while the old one's return is open: a failover of its own, under the same ID.
            following = request.model_copy(update={"alert": self._fired_again, "promote": None})
            workflow.continue_as_new(following, memo=self.handed_on)
        return self._so_far

    # -- what alerts send --------------------------------------------------------------------------------

    @workflow.signal(
        name="alert",
        description="A firing or its end, from the webhook.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alert(self, alert: Alert) -> None:
        """Take the alert resolving, which may end the question, or firing again, which may be the next failover."""
        await workflow.wait_condition(lambda: self.service is not None)
        if alert.status == "resolved" and self.incident is not None:
            self._resolutions += 1
            self.say("signal", f"{alert.name} has resolved by itself, says {alert.source}")
            await self.incident.alert_resolved(alert)
        elif alert.status == "firing" and self._returning and self._is_news(alert):
            self.say("signal", f"{alert.name} fires again: another failover follows")
            self._fired_again = alert
        else:
            await super().alert(alert)

    def _is_news(self, alert: Alert) -> bool:
        """Tell whether an alert is about the new primary, and not about the failure that is dealt with."""
        since = self._so_far.writable_since
        return not self.has_taken(alert) and (since is None or alert.starts_at > since)
