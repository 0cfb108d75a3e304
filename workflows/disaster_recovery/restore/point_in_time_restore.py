"""Data corruption recovery (runbook 7.3): stop writes, restore beside the damage, compare, switch over or come back."""

import itertools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import InvalidInput, Refused
from activities.common.text import Reason, Text
from activities.common.times import Time
from activities.database.backups.backups import Backups
from activities.database.integrity.contents import TableChange
from activities.kubernetes.cluster import Kubernetes
from activities.kubernetes.database_secrets import DatabaseSecrets
from audit.text import plain
from workflows.disaster_recovery.restore.damaged_copy import DamagedCopy
from workflows.disaster_recovery.restore.notices import Notices
from workflows.disaster_recovery.restore.restore_beside import RestoreBeside
from workflows.disaster_recovery.restore.restore_parts import RestoreParts
from workflows.disaster_recovery.restore.restore_plan import RestorePlan, make_plan, must_be_past
from workflows.disaster_recovery.restore.service_back import ServiceBack, tell_parent
from workflows.disaster_recovery.restore.switch_over import SwitchOver
from workflows.disaster_recovery.restore.write_stop import WriteStop
from workflows.platform.approval import Question
from workflows.platform.described import described
from workflows.platform.lease import Extend, Lease, Resume, finally_do, shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.resets import Earlier, before_reset
from workflows.platform.runbook import Runbook
from workflows.shared.data_hold import DataHold
from workflows.shared.desk import Desk
from workflows.shared.verification import verify

if TYPE_CHECKING:
    import asyncio

_SWITCHED = "fence"
"""The first effect of switching over."""

_BEHIND_THE_DECISION = {_SWITCHED, "scale-back", "let-writers-in"}
"""Effects of what comes after it: writes are being let in again, on the one database or on the other."""


def _with_zone(value: Any) -> Any:
    """Take a time only as a text with its time zone: a number or a bare date says less than people think."""
    example = "write it with its time zone, e.g. 2026-02-04T12:00:00+00:00 (UTC) or 2026-02-04T13:00:00+01:00"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"not a time: {example}") from None
    if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    raise ValueError(example)


class PointInTimeRestoreRequest(ServiceRequest):
    """Bring a service's database back to an earlier time.

    As a part of another procedure: without `target_time` it restores the latest state that the log reaches, and with
    `forensics` 0 it ends as soon as the service is back.
    """

    target_time: Annotated[datetime | None, BeforeValidator(_with_zone), Time()] = Field(
        default=None,
        description="All that was committed until then is kept, with its time zone, e.g. 2026-02-04T12:00:00+00:00; "
        "as late as the log reaches where not given.",
    )
    backup_id: Annotated[str, Text(200, 1)] | None = Field(
        default=None, description="The last good one before the target where not given."
    )
    accept_unverified: bool = Field(
        default=False, description="Take the named backup though nobody has checked it; a person is asked first."
    )
    replicas: int | None = Field(
        default=None, ge=1, le=1000, description="Of the service afterwards; as settings say, or as many as before."
    )
    notify_customers: bool | None = Field(default=None, description="Write to those affected; as settings say.")
    message: Reason = Field(
        default="Data recovery completed, please verify your data.",
        min_length=1,
        max_length=2000,
        description="To the customers who have used the service since the target.",
    )
    forensics: Annotated[timedelta | None, Time()] = Field(
        default=None,
        ge=timedelta(0),
        description="How long the run stays open to keep the damaged copy, e.g. P14D; as settings say. With 0 it ends "
        "when the service is back: the copy is kept all the same.",
    )

    @model_validator(mode="after")
    def _unverified_is_named(self) -> "PointInTimeRestoreRequest":
        if self.accept_unverified and self.backup_id is None:
            raise ValueError("accept_unverified: name the backup_id that it is about")
        return self


Outcome = Literal["restored", "declined", "not approved", "planned"]


class PointInTimeRestoreResult(BaseModel):
    """What became of it."""

    service: str
    outcome: Outcome
    target_time: datetime | None
    backup_id: str = ""
    server: str = Field(description="The one that the service is pointed at.")
    recovered_to: datetime | None = Field(default=None, description="The last transaction that is in it.")
    lost: timedelta | None = Field(default=None, description="From the target to the end of writes.")
    changed: list[TableChange] = Field(default_factory=list, description="Tables with other rows than before.")
    replicas: int = 0
    healthy: bool = False
    customers_told: int = 0
    damaged_copy: str = Field(default="", description="Where the damaged data is kept; empty: nowhere.")


_AVAILABLE = "We are available again."
_NOTHING_CHANGED = "The data recovery has ended."
_RECOVERY_OVER = "The data recovery has ended. We are not available yet: our team works on it."
_DATA_IS_BACK = "Our data is restored. We are not available yet: our team works on it."


@workflow.defn
class PointInTimeRestore(Runbook):
    """Plan, stop writes, restore beside, compare, ask; switch over and keep the damaged copy, or come back."""

    SECTION = "7.3"
    NEEDS_ITS_PAST = True
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self.parts: RestoreParts | None = None
        self.approved = False
        self.switch: SwitchOver | None = None
        self.copy: DamagedCopy | None = None
        self._watch: asyncio.Task[None] | None = None

    @workflow.run
    async def run(self, request: PointInTimeRestoreRequest) -> PointInTimeRestoreResult:
        """Follow 7.3.

        Raises:
            InvalidInput: the service has no database; the target or the backup can't be. Nothing has been changed.
            Refused: no spare server is free, or another run is at this data: nothing has been changed. Or no backup
                is good, or the log doesn't lead to the target: the service is back on the data it had.

        """
        service = await self.begin(request, title="Point-in-time restore", service=request.service, severity="P1")
        self.title = f"Point-in-time restore of {service.name}"
        if service.database is None:
            raise InvalidInput(
                f"service: {service.name} has no database in the settings (services.{service.name}.database)"
            )
        must_be_past(request.target_time)
        desk = Desk(self, service, "P1", self.title, "RESTORE")
        hold = DataHold(self, "7.3/1", service, service.database)
        self.phase("Plan")
        plan = await make_plan(
            self,
            service,
            hold,
            target=request.target_time,
            backup_id=request.backup_id,
            accept_unverified=request.accept_unverified,
            replicas=request.replicas,
            before=await self._stopped_before(),
        )
        if plan.unverified and not self.begun_before and not await self._accepted(plan, desk):
            await self.settle()
            self.finish("not approved")
            return self._result(service, plan, "not approved")
        parts = self.parts = RestoreParts(
            service=service,
            plan=plan,
            desk=desk,
            notices=Notices(self, desk, service),
            hold=hold,
            restoration=RestoreBeside(self, plan),
            writes=WriteStop(self, desk, service, plan),
        )
        try:
            # Of a run that was reset behind the decision nothing is stopped or asked again.
            decided = bool(self.begun_before & _BEHIND_THE_DECISION)
            await finally_do(
                self._take_up(parts) if decided else self._prepare(parts), lambda: self._end(request, parts)
            )
            if self.copy is not None:
                await self.copy.keep()
            await self.settle()
        except BaseException as error:
            if is_cancelled_exception(error):
                if self._watch is not None:
                    self._watch.cancel()
                await shielded(self.settle())
                self.finish("restored, then cancelled" if self.approved else "cancelled")
            raise
        return self._result(service, plan, self._outcome())

    async def _stopped_before(self) -> Earlier | None:
        """Give what the run had read before it stopped writes, where it was reset after that."""
        if "stop-writes" not in self.begun_before:
            return None
        reads = (DatabaseSecrets.pointed_at, Kubernetes.deployment, Backups.catalogue)
        return await before_reset(self, "7.3/1", self.first_effect("stop-writes"), *reads)

    async def _take_up(self, parts: RestoreParts) -> None:
        """Come to where the run was before its reset: what is decided is gone through with, each effect once."""
        plan = parts.plan
        self.approved = _SWITCHED in self.begun_before
        how = f"the service gets {plan.spare}" if self.approved else f"the service goes back to {plan.primary}"
        self.say("decision", f"This run was reset, and it had been decided: {how}")
        await parts.hold.take(plan.longest)
        await parts.restoration.take_up()
        await parts.writes.take_up()

    def _outcome(self) -> Outcome:
        if self.dry_run:
            self.finish("planned")
            return "planned"
        if self.switch is None:
            self.finish("declined")
            return "declined"
        self.finish("restored" if self.switch.healthy else "restored, not healthy")
        return "restored"

    # -- until somebody decides --------------------------------------------------------------------------

    async def _accepted(self, plan: RestorePlan, desk: Desk) -> bool:
        """Ask whether a backup that nobody has found good will do; nothing has been changed yet."""
        if self.dry_run:
            self.say("decision", f"would ask whether {plan.backups[0].backup_id} will do")
            return True
        question = Question(
            id="unverified",
            title=f"Restore {plan.database.name} from a backup that is not verified?",
            options={
                "restore": "writes are stopped, and it is tried; what comes out is checked and shown before it counts",
                "stop": "nothing is changed",
            },
            default="stop",
            kind="restore",
            evidence=[str(plan.backups[0])],
            timeout=plan.database.restore.decision_timeout,
        )
        self.background(desk.ask(question))
        return (await self.ask(question, escalate=desk.escalate)).choice == "restore"

    async def _prepare(self, parts: RestoreParts) -> None:
        """Bring a restored database to where a person can decide about it."""
        plan, restoration, writes = parts.plan, parts.restoration, parts.writes
        self.phase("Stop writes")
        await parts.hold.take(plan.longest)
        await parts.desk.open(
            f":rotating_light: {self.title} to {plan.until}: writes are stopped, {plan.database.name} is restored on "
            f"{plan.spare}, beside {plan.primary}. What was committed after the target will be lost."
        )
        await parts.notices.publish("Investigating", "Our data is damaged. It is being restored; we are not available.")
        await writes.stop()
        self.phase("Extent of the damage")
        await restoration.assess()
        if self.dry_run:
            self.say("decision", f"would restore {plan.backups[0].backup_id} to {plan.until} on {plan.spare}, and ask")
            self.say(
                "decision",
                f"would fence {plan.primary}, point the service at {plan.spare}, and scale to {plan.replicas_after}",
            )
            return
        self.phase("Last good backup")
        await restoration.seal()
        await restoration.choose()
        self.phase("Restore")
        await restoration.restore()
        self.phase("Verify")
        await writes.look_again()
        await restoration.compare()
        self.phase("Decide")
        self.approved = await self._decided(parts)

    async def _decided(self, parts: RestoreParts) -> bool:
        """Ask; and ask again where somebody has begun to write while it was decided: that would be lost as well."""
        writes = parts.writes
        for number in itertools.count(1):
            question = _switch_over(parts.plan, parts.restoration, writes, number)
            self.background(parts.desk.ask(question))
            answer = await self.ask(question, escalate=parts.desk.escalate)
            if answer.choice != "switch":
                return False
            known = set(writes.seen)
            if workflow.patched("looked-again-before-the-switch"):
                await writes.look_again()
            if writes.seen == known:
                return True
            self.say("decision", f"Asked again, since {writes.doubt}")
        raise AssertionError

    # -- from then on ------------------------------------------------------------------------------------

    async def _end(self, request: PointInTimeRestoreRequest, parts: RestoreParts) -> None:
        """See that somebody can write again: on the restored data, where a person wants that, or as it was."""
        if self.approved:
            await self._switch(request, parts)
            return
        await self._come_back(parts)

    async def _switch(self, request: PointInTimeRestoreRequest, parts: RestoreParts) -> None:
        service, plan, restoration, notices = parts.service, parts.plan, parts.restoration, parts.notices
        self.phase("Switch over")
        switch = self.switch = SwitchOver(self, parts.desk, service, plan, parts.hold)
        lasting = plan.database.restore.forensics if request.forensics is None else request.forensics
        copy = self.copy = DamagedCopy(self, parts.desk, service, plan, lasting)
        await copy.mark()
        await switch.carry_out(parts.writes)
        await parts.hold.release()
        self.background(switch.archive())
        await tell_parent(_back(plan, restoration))
        self.phase("Notify")
        notify = (
            plan.database.restore.notify_customers if request.notify_customers is None else request.notify_customers
        )

        async def published() -> None:
            over = f"{request.message} Data of {restoration.span} is not in it."
            await notices.publish("Resolved", over)

        async def customers() -> None:
            if notify:
                await notices.customers(restoration.pinned, restoration.ended_at, request.message)

        async def well() -> None:
            switch.healthy = True
            await parts.desk.tell("well", f":white_check_mark: {service.name} is well on {plan.spare}.")
            await published()
            await customers()

        later = not switch.healthy and workflow.patched("told-when-well")
        if not later:
            await published()
        await parts.desk.tell(
            "restored",
            f":white_check_mark: {service.name} is on {plan.spare}, as of {restoration.pinned:%F %T %Z}"
            f"{'' if switch.healthy else ', *not healthy*'}. The damaged data is kept on {plan.primary}."
            f"{_followers(plan)}",
        )
        if later:
            self._watch = self.background(notices.once_well(_DATA_IS_BACK, well))
        else:
            await customers()

    async def _come_back(self, parts: RestoreParts) -> None:
        """Let the service write as before, on the data that it had."""
        service, plan, notices = parts.service, parts.plan, parts.notices
        was_stopped = parts.writes.stopped
        if was_stopped:
            self.phase("Back on the data as it was")
        await parts.writes.let_write(plan.replicas_before)
        if was_stopped:
            back = f"{service.name} is back on the data it had, on {plan.primary}"
            first = not workflow.patched("told-when-well")
            if first:
                await notices.publish("Resolved", _AVAILABLE)
            await parts.desk.tell("back", f":leftwards_arrow_with_hook: {back}.")
            trouble = ""
            if plan.replicas_before:
                verified = await verify(self, "7.3/6", service, service.scaling.ready_within)
                trouble = verified.trouble
                if trouble:
                    theirs = "" if first else ". The status page says that we work on it: that entry is yours now"
                    await parts.desk.escalate(f"{back}, but {trouble}{theirs}")
            if trouble and not first:
                await notices.publish("Monitoring", _RECOVERY_OVER)
            elif not first:
                await notices.publish("Resolved", _AVAILABLE if plan.replicas_before else _NOTHING_CHANGED)
        await parts.restoration.discard(parts.desk)
        await parts.hold.release()
        await self.settle()

    # -- what there is to read ---------------------------------------------------------------------------

    def leases(self) -> list[Lease]:
        """Give the damaged copy's time, while it is kept."""
        return [self.copy.lease] if self.copy and not self.dry_run and not self.copy.lease.ended_by else []

    def board(self) -> str:
        """Show what was restored, since the run stays open for long after the service is back."""
        done = self.parts.restoration if self.parts else None
        return "\n".join(f"- {plain(line)}" for line in done.evidence()) if done and done.restored else ""

    def _result(self, service: Service, plan: RestorePlan, outcome: Outcome) -> PointInTimeRestoreResult:
        parts, switch, copy = self.parts, self.switch, self.copy
        result = PointInTimeRestoreResult(
            service=service.name, outcome=outcome, target_time=plan.target, server=plan.primary
        )
        if parts is not None:
            done = parts.restoration
            result.customers_told = parts.notices.told
            result.target_time = done.target
            result.backup_id = done.backup.backup_id if done.backup else ""
            result.recovered_to = done.restored.recovered_to if done.restored else None
            result.lost = done.lost
            result.changed = done.difference.changed if done.difference else []
        if switch is not None:
            result.server = plan.spare if switch.pointed else plan.primary
            result.replicas, result.healthy = plan.replicas_after, switch.healthy
        if copy is not None and not copy.discarded:
            result.damaged_copy = plan.primary
        return result

    # -- what people send --------------------------------------------------------------------------------

    @workflow.update(
        name="extend",
        description=described("Keep the damaged copy for longer.", Extend, "dba", by="P7D", reason="still comparing"),
    )
    async def extend(self, word: Extend) -> str:
        """Move the end of the forensics period."""
        copy = self._kept()
        await copy.extend(word.by)
        until = f"{copy.lease.until:%Y-%m-%d %H:%M:%S %Z}"
        self.say("decision", f"Kept until {until} {word.reason}".rstrip(), who=f"{word.who} ({word.role})")
        return f"kept until {until}"

    @extend.validator
    def _check_extend(self, word: Extend) -> None:
        self.approvals.authorise(word, "restore")
        self._kept().lease.check(word.by)

    @workflow.update(
        name="resume",
        description=described(
            "The damaged copy is no longer needed: ask now whether to discard it.", Resume, "dba", reason="compared"
        ),
    )
    async def resume(self, word: Resume) -> str:
        """End the forensics period early."""
        who = f"{word.who} ({word.role})"
        self.say("decision", f"The damaged copy is no longer needed {word.reason}".rstrip(), who=who)
        self._kept().lease.end(who)
        return "it is asked now whether to discard it"

    @resume.validator
    def _check_resume(self, word: Resume) -> None:
        self.approvals.authorise(word, "restore")
        lease = self._kept().lease
        if lease.ended_by:
            raise InvalidInput(f"{lease.name} is no longer held ({lease.ended_by})")

    def _kept(self) -> DamagedCopy:
        """Give the damaged copy.

        Raises:
            Refused: there is none.

        """
        if self.copy is None:
            raise Refused("this run keeps no damaged copy yet")
        return self.copy


def _followers(plan: RestorePlan) -> str:
    """Name the servers that still follow the damaged one."""
    others = [name for name, server in plan.database.servers.items() if name != plan.primary and not server.spare]
    return f" {', '.join(others)} still follow it: make them replicas of {plan.spare}." if others else ""


def _back(plan: RestorePlan, restoration: RestoreBeside) -> ServiceBack:
    restored = restoration.restored
    return ServiceBack(
        server=plan.spare,
        backup_id=restoration.backup.backup_id if restoration.backup else "",
        recovered_to=restored.recovered_to if restored else None,
    )


def _switch_over(plan: RestorePlan, restoration: RestoreBeside, writes: WriteStop, number: int) -> Question:
    """Show what is different, and ask which of the two the service is to have."""
    doubt = writes.doubt
    may = [f"Could write meanwhile: {'; '.join(writes.may_write)}"] if writes.may_write else []
    sound = restoration.sound and not doubt
    return Question(
        id="switch" if number == 1 else f"switch-{number}",
        title=f"Give {plan.database.name} as of {restoration.pinned:%Y-%m-%d %H:%M:%S %Z} to the service?",
        options={
            "switch": f"{plan.primary} is fenced, the service gets {plan.spare}; later writes are lost",
            "keep": f"the service goes on with the data on {plan.primary}; what was restored is removed",
        },
        recommended="switch" if sound else None,
        default="keep",
        kind="restore",
        evidence=[*restoration.evidence(), *writes.also, *may, *([f"Doubt: {doubt}"] if doubt else [])],
        reason_for=[] if sound else ["switch"],
        timeout=plan.database.restore.decision_timeout,
    )
