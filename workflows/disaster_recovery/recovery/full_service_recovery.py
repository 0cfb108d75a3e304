"""Full service recovery (runbook 7.2): a major outage that requires everything to be brought back."""

import asyncio
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import InvalidInput, Refused
from activities.common.text import Name
from activities.common.times import Time
from activities.kubernetes.workloads import Workloads, WorkloadsRequest
from activities.monitoring.health import HealthChecks, HealthRequest
from audit.text import counted, length
from workflows.disaster_recovery.recovery import others
from workflows.disaster_recovery.recovery import restart as restarting
from workflows.disaster_recovery.recovery.beside import Beside
from workflows.disaster_recovery.recovery.damage import Damage, assess
from workflows.disaster_recovery.recovery.day_of_watching import CLOCK, DayOfWatching
from workflows.disaster_recovery.recovery.proving import Proof
from workflows.disaster_recovery.recovery.recovery_parts import RecoveryParts
from workflows.disaster_recovery.recovery.recovery_restore import RecoveryRestore
from workflows.disaster_recovery.recovery.restart import Stages, restart
from workflows.disaster_recovery.recovery.retry_or_stop import RetryOrStop
from workflows.disaster_recovery.recovery.traffic_levers import Lever, lever
from workflows.disaster_recovery.recovery.traffic_steps import TrafficSteps
from workflows.disaster_recovery.recovery.watch_words import StopWatching
from workflows.disaster_recovery.restore.service_back import SIGNAL, ServiceBack
from workflows.platform import policies
from workflows.platform.clocks import Clock
from workflows.platform.described import described
from workflows.platform.lease import shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.run_status import Note
from workflows.platform.runbook import Runbook, was_reset
from workflows.platform.steps import reason
from workflows.shared.incident import Incident

_FRESH = timedelta(minutes=1)
Outcome = Literal["recovered", "recovered, not well", "stopped", "planned"]


class FullServiceRecoveryRequest(ServiceRequest):
    """Bring a whole service back."""

    commander: Name | None = Field(default=None, description="The on-call, where nobody is named.")
    restore: Literal["ask", "never"] = Field(
        default="ask",
        description="Whether its database may be restored; a person approves it, here and in the restore.",
    )
    target_time: Annotated[AwareDatetime | None, Time()] = Field(
        default=None, description="What a restore goes back to, with time zone; the latest there is where not given."
    )
    backup_id: Name | None = Field(
        default=None, max_length=200, description="What a restore begins with; chosen by the target where not given."
    )
    take_traffic_away: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether traffic is kept from the service until it is tested; auto: where it isn't healthy.",
    )


class FullServiceRecoveryResult(BaseModel):
    """What became of it."""

    service: str
    incident_id: str
    outcome: Outcome
    reason: str = Field(default="", description="Why it was stopped, or isn't well.")
    restored: str = Field(default="", description="What the database was restored to; empty where it was not.")
    restarted: list[str] = Field(default_factory=list, description="Deployments, in their order.")
    also_restarted: list[str] = Field(default_factory=list, description="The service's StatefulSets, before these.")
    traffic: int | None = Field(default=None, description="Per cent at the end; None: not in the run's hands.")
    looks: int = Field(default=0, description="Of the watch afterwards.")
    problems: list[str] = Field(default_factory=list, description="That the watch has found.")
    watch_ended_by: str = ""
    back_after: timedelta | None = Field(default=None, description="Until all of the traffic was back.")


@workflow.defn
class FullServiceRecovery(Runbook):
    """Assess, restore if approved, restart in order, verify, test, bring traffic back in steps, watch for a day."""

    SECTION = "7.2"
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self.parts: RecoveryParts | None = None
        self.watching: DayOfWatching | None = None
        self._pages = asyncio.Lock()
        self._restarted: list[str] = []
        self._back_after: timedelta | None = None

    @workflow.run
    async def run(self, request: FullServiceRecoveryRequest) -> FullServiceRecoveryResult:
        """Follow 7.2.

        Raises:
            InvalidInput: the service is not in the catalogue; a restore is described that can't be.
            Misconfigured: settings name Deployments or an Ingress that are not there. Nothing has been changed.
            Refused: a Deployment that is to be restarted is paused.

        """
        service = await self.begin(request, title="Full service recovery", service=request.service, severity="P1")
        self.title = f"Full recovery of {service.name}"
        _check(request, service)
        self.phase("Assess damage")
        asked = WorkloadsRequest(namespace=service.namespace)
        found = await self.step("7.2/1", "Deployments", Workloads.deployments, asked, policies.READ)
        stages = restarting.pin(service, found)
        hand = await lever(self, service)
        parts = self.parts = self._made(request, service, stages, hand)
        self.clocks.start("Acknowledged", service.incident.acknowledge_within, self._late)
        opened = self.background(parts.incident.begin(request.alert))
        try:
            damage = await assess(self, service, found)
            stopped = await self._recover(request, parts, damage)
            await opened
            return await self._end(parts, stopped)
        except (Exception, asyncio.CancelledError) as error:
            await shielded(self._leave(parts, error))
            raise

    def _made(
        self, request: FullServiceRecoveryRequest, service: Service, stages: Stages, hand: Lever | None
    ) -> RecoveryParts:
        incident = Incident(self, service, "P1", self.title, request.commander)
        ways = RetryOrStop(self, incident, service)
        beside = Beside(self, service, ways)
        return RecoveryParts(
            service=service,
            stages=stages,
            incident=incident,
            ways=ways,
            traffic=TrafficSteps(self, incident, service, hand, ways),
            restoration=RecoveryRestore(self, incident, service, ways),
            beside=beside,
            proof=Proof(self, service, ways, beside),
        )

    async def _late(self, clock: Clock) -> None:
        if self.parts is not None:
            await self.parts.incident.escalate(f"deadline missed: {clock.name}")

    # -- bringing it back --------------------------------------------------------------------------------

    async def _recover(self, request: FullServiceRecoveryRequest, parts: RecoveryParts, damage: Damage) -> str:
        """Follow steps 2 to 7; gives why it was stopped."""
        incident, service = parts.incident, parts.service
        left = restarting.left_out(parts.stages, damage.workloads)
        told = f"{damage}\nWill restart {'; then '.join(', '.join(stage) for stage in parts.stages)}."
        told += f" Not: {', '.join(left)}." if left else ""
        self.background(incident.tell("assessed", " ".join(filter(None, [f":mag: {told}", str(parts.beside)]))))
        self.background(self._status_page(parts, "Investigating", "We are investigating a major outage."))
        self.phase("Restore from backup")
        if stopped := await self._restore(request, parts, damage):
            return stopped
        if stopped := await self._restart(request, parts, damage):
            return stopped
        if not await parts.proof.give(self._restarted, damage.version_of(service.deployment)):
            return parts.proof.trouble
        await parts.beside.give_back(incident)
        self.background(incident.reached("mitigated"))
        self.phase("Restore traffic")
        if not await parts.traffic.restore():
            return "people have stopped it while traffic was coming back"
        if self.dry_run:
            self.say("decision", f"would watch for {length(service.recovery.watch_for)}", section="7.2/7")
            return ""
        self._back_after = workflow.now() - workflow.info().workflow_start_time
        await self._watch(parts)
        return ""

    async def _restore(self, request: FullServiceRecoveryRequest, parts: RecoveryParts, damage: Damage) -> str:
        """Restore the database where there is one, and a person says so (step 2)."""
        if request.restore == "never" or damage.database is None:
            why = "the request says never" if damage.database else "the service has no database in the settings"
            self.say("decision", f"No restore: {why}", section="7.2/2")
            return ""
        # What a restore brings back is tested as well before traffic gets to it.
        first = parts.traffic.take_away if request.take_traffic_away != "never" else parts.traffic.stay
        return await parts.restoration.decide(damage.database, request.target_time, request.backup_id, first=first)

    async def _restart(self, request: FullServiceRecoveryRequest, parts: RecoveryParts, damage: Damage) -> str:
        """Restart in order, other services only where people say so (step 3); gives why it was stopped."""
        self.phase("Restart all services")
        agreed = await others.agreed(self, parts.incident, parts.service, parts.stages)
        if agreed is None:
            return "people have stopped it, since other services would have been restarted"
        self.background(self._status_page(parts, "Identified", "We are bringing the service back."))
        away = request.take_traffic_away
        if away == "always" or (away == "auto" and not await self._well(parts.service, damage)):
            await parts.traffic.take_away()
        if stopped := await parts.beside.restart():
            return stopped
        self._restarted = [name for stage in agreed for name in stage]
        return await restart(self, parts.service, agreed, parts.ways)

    async def _well(self, service: Service, damage: Damage) -> bool:
        """Tell whether the service is healthy; asked again where people were waited for since it was assessed."""
        stale = workflow.now() - damage.seen_at > _FRESH
        if stale and workflow.patched("health-read-again"):
            request = HealthRequest(url=service.health_url)
            health = await self.attempt("7.2/3", "Health", HealthChecks.check, request, policies.READ)
            return health is not None and health.healthy
        return damage.well

    async def _watch(self, parts: RecoveryParts) -> None:
        """Watch for a day, an hour at a time (step 7)."""
        policy = parts.service.recovery
        self.phase(f"Watch for {length(policy.watch_for)}")
        self.watching = DayOfWatching(self, parts.incident, parts.service)
        monitoring = "The service is back. We keep a close watch on it."
        self.background(self._status_page(parts, "Monitoring", monitoring))
        self.background(parts.incident.reached("stable"))
        self.background(parts.incident.notify_stakeholders("the service is back, and is being watched closely"))
        await self.watching.keep()

    async def _status_page(
        self, parts: RecoveryParts, status: Literal["Investigating", "Identified", "Monitoring"], message: str
    ) -> None:
        async with self._pages:  # one after the other, also where the page is slow
            await parts.incident.status_page("7.2", status, message)

    # -- the end -----------------------------------------------------------------------------------------

    async def _end(self, parts: RecoveryParts, stopped: str) -> FullServiceRecoveryResult:
        incident = parts.incident
        self.clocks.stop()
        await parts.beside.give_back(incident)
        trouble = stopped or (self.watching.trouble if self.watching else "")
        outcome = _outcome(planned=self.dry_run, stopped=bool(stopped), well=not trouble)
        if outcome == "recovered" and self.watching is not None:
            await _close(incident, self.watching)
        elif outcome != "planned":
            left = await parts.traffic.leave(trusted=not parts.proof.trouble) if stopped else ""
            told = "; ".join(filter(None, [trouble, left]))
            await incident.escalate(f"{incident.id} is in human hands, {outcome}: {told}")
        await incident.note("runbook", self.timeline.markdown())
        await self.settle()
        self.finish(outcome)
        return FullServiceRecoveryResult(
            service=parts.service.name,
            incident_id=incident.id,
            outcome=outcome,
            reason=trouble,
            restored=str(parts.restoration.back or ""),
            restarted=self._restarted,
            also_restarted=parts.beside.restarted,
            traffic=parts.traffic.share,
            looks=self.watching.looks if self.watching else 0,
            problems=self.watching.problems if self.watching else [],
            watch_ended_by=self.watching.ended_by if self.watching else "",
            back_after=self._back_after,
        )

    async def _leave(self, parts: RecoveryParts, error: BaseException) -> None:
        """Leave the service as well as it can be: a restore is taken back, traffic is where it held."""
        cancelled = is_cancelled_exception(error)
        self.finish("cancelled" if cancelled else "failed")
        self.clocks.stop()
        await parts.restoration.abandon()
        await parts.beside.give_back(parts.incident)
        left = await parts.traffic.leave(trusted=not parts.proof.trouble)
        if cancelled:
            await asyncio.gather(parts.incident.abandon(), *([parts.incident.page(left)] if left else []))
        else:
            why = reason(error) if isinstance(error, ActivityError) else str(error)
            await parts.incident.escalate("; ".join(filter(None, [f"the recovery has failed: {why}", left])))

    # -- what people and the restore send ----------------------------------------------------------------

    @workflow.update(
        name="stop_watching",
        description=described(
            "End the watch over the recovered service.", StopWatching, "commander", reason="quiet all morning"
        ),
    )
    async def stop_watching(self, word: StopWatching) -> str:
        """Take a person's word that the service has been watched for long enough."""
        who = f"{word.who} ({word.role})"
        self.say("decision", f"The watch ends {word.reason}".rstrip(), who=who)
        assert self.watching is not None
        self.watching.end(who)
        return f"the watch has ended after {counted(self.watching.looks, 'look')}"

    @stop_watching.validator
    def _check_stop_watching(self, word: StopWatching) -> None:
        self.approvals.authorise(word, "close")
        if self.watching is None or not self.watching.open or self.watching.ended_by:
            raise Refused(f"the service is not being watched, the run is at: {self.timeline.phase}")

    @workflow.signal(name=SIGNAL, description="The restore that this run has started says that the service is back.")
    async def service_back(self, back: ServiceBack) -> None:
        """Go on: what the restore still does, it does by itself. Nobody else's word counts before one has begun."""
        # To a run that was reset Temporal says it again before anything has begun.
        if self.parts is None or not (self.parts.restoration.begun or was_reset()):
            self.say("signal", f"Refused: {SIGNAL}, since no restore of this run has begun")
            return
        self.parts.restoration.came_back(back)

    async def noted(self, note: Note) -> None:
        """Keep remarks in the incident's record too."""
        await workflow.wait_condition(lambda: self.parts is not None)
        assert self.parts is not None
        await self.parts.incident.note(f"{note.who} ({note.role})", note.text)


async def _close(incident: Incident, watching: DayOfWatching) -> None:
    """Close the incident: the service was well at the watch's end."""
    found = f"{len(watching.problems)} of {counted(watching.looks, 'look')} found a problem"
    by = "runbook" if watching.ended_by == CLOCK else watching.ended_by
    # The resolution stands on the status page.
    await incident.close(by, "The service is recovered.", f"Not told: see the incident's notes; {found}")


def _check(request: FullServiceRecoveryRequest, service: Service) -> None:
    """Refuse a restore that can't be.

    Raises:
        InvalidInput: names the field.

    """
    named = [name for name in ("target_time", "backup_id") if getattr(request, name) is not None]
    if named and request.restore == "never":
        raise InvalidInput(f"{named[0]}: there is nothing to restore to where restore is never")
    if named and service.database is None:
        raise InvalidInput(
            f"{named[0]}: {service.name} has no database in the settings (services.{service.name}.database)"
        )
    if request.target_time is not None and request.target_time > workflow.now():
        raise InvalidInput("target_time: lies in the future")


def _outcome(*, planned: bool, stopped: bool, well: bool) -> Outcome:
    if planned:
        return "planned"
    if stopped:
        return "stopped"
    return "recovered" if well else "recovered, not well"
