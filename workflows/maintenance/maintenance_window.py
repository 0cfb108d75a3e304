"""Maintenance window (runbook 6.1): told of ahead, held while it lasts, closed in whatever way it ends."""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field, field_validator, model_validator
from temporalio import workflow
from temporalio.common import VersioningBehavior
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.catalogue.service import Service
from activities.common.errors import InvalidInput, Refused
from activities.common.text import Name, Words
from activities.common.times import Time
from audit.text import counted, length
from workflows.maintenance.window_end import WindowEnd
from workflows.maintenance.window_hold import WindowHold
from workflows.maintenance.window_notices import WindowNotices
from workflows.maintenance.window_parts import WindowParts
from workflows.maintenance.window_questions import WindowQuestions
from workflows.maintenance.window_tasks import TaskState, WindowTask, WindowTasks, build_tasks
from workflows.maintenance.window_words import BeginNow, EndEarly, TickTask
from workflows.platform.approval import NO_ANSWER
from workflows.platform.described import described
from workflows.platform.lease import Extend, Lease, finally_do, shielded
from workflows.platform.requests import ServiceRequest
from workflows.platform.runbook import Runbook
from workflows.platform.steps import reason
from workflows.shared.desk import Desk


class MaintenanceWindowRequest(ServiceRequest):
    """Announce a maintenance, hold it, and do its tasks."""

    title: Name = Field(
        min_length=1, max_length=100, pattern=r"^[^\r\n]+$", description="Customers read it, e.g. Database upgrade."
    )
    starts_at: Annotated[AwareDatetime, Time()] = Field(
        description="With its offset: 2026-02-05T02:00:00Z, or 2026-02-05 02:00 UTC."
    )
    ends_at: Annotated[AwareDatetime, Time()] = Field(description="As customers are told; likewise.")
    impact: Words = Field(
        default="Brief service interruption possible.",
        min_length=1,
        max_length=500,
        description="Customers read it: what they will notice.",
    )
    tasks: list[WindowTask] = Field(
        default_factory=list,
        max_length=20,
        description="Done one after the other: procedures with their input, or what people do and tick. "
        "Without any the window lasts until its end.",
    )
    tenants: list[Name] | None = Field(
        default=None, max_length=500, description="Who is told by mail; all customers where nothing is given."
    )

    @field_validator("starts_at", "ends_at", mode="before")
    @classmethod
    def _utc(cls, value: object) -> object:
        return value.removesuffix(" UTC") + "Z" if isinstance(value, str) and value.endswith(" UTC") else value

    @model_validator(mode="after")
    def _fits(self) -> "MaintenanceWindowRequest":
        lasts = self.ends_at - self.starts_at
        if lasts <= timedelta(0):
            raise ValueError("ends_at: is not after starts_at")
        taken = sum((task.takes for task in self.tasks), timedelta(0))
        if taken > lasts:
            raise ValueError(f"tasks: take {length(taken)} together, and the window lasts {length(lasts)}")
        return self


Outcome = Literal[
    "planned", "done", "done, not healthy", "ended early", "gone back", "called off", "cancelled", "failed"
]


class MaintenanceWindowResult(BaseModel):
    """What became of it."""

    window_id: str
    service: str
    outcome: Outcome
    why: str = Field(default="", description="Where it didn't go through.")
    started_at: datetime | None = Field(default=None, description="None where it never began.")
    ended_at: datetime
    healthy: bool | None = Field(default=None, description="What the last look said; None where none was taken.")
    tasks: list[TaskState] = Field(default_factory=list)
    incidents: list[str] = Field(default_factory=list, description="Of the service, still open at the end.")


@workflow.defn
class MaintenanceWindow(Runbook):
    """Announce, start, do the tasks, verify, end; close everything on every way out."""

    SECTION = "6.1"
    VERSIONING = VersioningBehavior.AUTO_UPGRADE

    def __init__(self) -> None:
        super().__init__()
        self.window: WindowParts | None = None
        self._started_at: datetime | None = None
        self._begin_now = False
        self._how: Outcome | None = None
        self._why = ""
        self._moving = asyncio.Lock()

    @workflow.run
    async def run(self, request: MaintenanceWindowRequest) -> MaintenanceWindowResult:
        """Follow 6.1.

        Raises:
            InvalidInput: the service is not in the catalogue, the start is past, the window longer than settings allow,
                a task's procedure or input is wrong, or a tenant is none. Nobody has been told anything then.
            Refused: the window overlaps another one of the service.

        """
        service = await self.begin(
            request, title=f"Maintenance: {request.title}", service=request.service, severity="P4"
        )
        self.title = f"Maintenance of {service.name}: {request.title}"
        # By when it was asked for: that all workers were down meanwhile is no fault of the input.
        asked_at = workflow.info().workflow_start_time
        if request.starts_at <= asked_at:
            raise InvalidInput(f"starts_at: is past, it is {asked_at:%Y-%m-%d %H:%M} UTC")
        longest = service.window.longest
        if request.ends_at - request.starts_at > longest and workflow.patched("longest-window"):
            raise InvalidInput(f"ends_at: longer than settings allow ({length(longest)}, window.longest)")
        states = await build_tasks(self, service.name, request.tasks)
        window = self.window = self._made(request, service, states)
        await _check_tenants(request, window.notices)
        await window.hold.schedule(request.starts_at, request.ends_at)
        try:
            await finally_do(self._guarded(request, window), lambda: self._close(window))
        except BaseException as error:
            if is_cancelled_exception(error):
                self.finish("cancelled")
            raise
        await self.settle()
        outcome = self._how or "failed"
        self.finish(outcome)
        return MaintenanceWindowResult(
            window_id=window.desk.id,
            service=service.name,
            outcome=outcome,
            why=self._why,
            started_at=self._started_at,
            ended_at=workflow.now(),
            healthy=window.end.healthy,
            tasks=states,
            incidents=window.end.incidents,
        )

    def _made(self, request: MaintenanceWindowRequest, service: Service, states: list[TaskState]) -> WindowParts:
        desk = Desk(self, service, "P4", self.title, "MW")
        hold = WindowHold(desk, request.title, request.impact)
        lease = Lease(
            name="the window",
            acquired_at=request.starts_at,
            until=request.ends_at,
            latest=request.ends_at + service.window.longest_extension,
        )
        notices = WindowNotices(desk, request.title, request.impact, lease, request.tenants)
        return WindowParts(
            desk=desk,
            lease=lease,
            hold=hold,
            tasks=WindowTasks(self, desk, states, service.window.decision_timeout),
            notices=notices,
            questions=WindowQuestions(desk, lease, request.ends_at - request.starts_at),
            end=WindowEnd(desk, hold, notices),
        )

    async def _guarded(self, request: MaintenanceWindowRequest, window: WindowParts) -> None:
        try:
            await self._through(request, window)
        except Exception as error:
            if not is_cancelled_exception(error):
                self._how = "failed"
                self._why = reason(error) if isinstance(error, ActivityError) else str(error)
            raise

    async def _through(self, request: MaintenanceWindowRequest, window: WindowParts) -> None:
        policy = window.policy
        self.phase("Scheduled")
        await self._wait_until(request.starts_at - policy.announce_before, "customers are told")
        late = workflow.now() > request.starts_at + policy.late_after and "start-window" not in self.begun_before
        if not late:  # whether one that is late comes at all is for people to say first
            await self._announce(request, window)
        await self._wait_until(request.starts_at, "the window begins")
        # One that had begun before it was reset is neither late nor asked about.
        begun = "start-window" in self.begun_before
        late = not self._begin_now and not begun and workflow.now() > request.starts_at + policy.late_after
        if not begun and not await window.questions.may_begin(late=late):
            self._call_off("people said so, or nobody answered")
            return
        if not self.dry_run:
            window.lease.acquired_at = workflow.now()
        if not window.notices.announced:
            await self._announce(request, window)
        if not await self._start(window):
            return
        await self._work(window)
        if self.dry_run:
            self._how = "planned"
            return
        await window.end.verify()
        self._how = self._how or ("done" if window.end.healthy else "done, not healthy")

    # -- before ------------------------------------------------------------------------------------------

    async def _wait_until(self, at: datetime, what: str) -> None:
        """Wait for a time, or for the word that it begins now."""
        left = at - workflow.now()
        if self.dry_run:
            self.say("decision", f"would wait until {at:%Y-%m-%d %H:%M %Z}: {what}")
            return
        if left <= timedelta(0):
            return
        try:
            await workflow.wait_condition(lambda: self._begin_now, timeout=left, timeout_summary=f"until {what}")
        except TimeoutError:
            return

    async def _announce(self, request: MaintenanceWindowRequest, window: WindowParts) -> None:
        self.phase("Announced")
        ahead = timedelta(seconds=round((request.starts_at - workflow.now()).total_seconds()))
        if ahead < window.policy.announce_before - timedelta(minutes=1) and not self.dry_run:
            self.say("deadline", f"Customers are told only {length(max(ahead, timedelta(0)))} ahead")
        await window.notices.announce()

    def _call_off(self, why: str) -> None:
        self._how, self._why = "called off", why
        self.say("decision", f"Called off: {why}")

    async def _start(self, window: WindowParts) -> bool:
        """Begin the hold, and say so; False where the records refuse it."""
        self.phase("In progress")
        try:
            await window.hold.begin(window.lease.until)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            await window.desk.escalate(f"the window can't begin: {reason(error)}")
            self._call_off(reason(error))
            return False
        self._started_at = workflow.now()
        await window.notices.started()
        return True

    # -- during ------------------------------------------------------------------------------------------

    async def _work(self, window: WindowParts) -> None:
        """Do the tasks, until they are through, or the window ends."""
        lease, tasks = window.lease, window.tasks
        if not tasks.states:
            if not self.dry_run:
                await lease.hold(self._moving)
            self._how = "ended early" if lease.ended_by not in {"", "expiry"} else None
            return
        work = asyncio.create_task(tasks.work())
        try:
            await self._watch_the_end(window, work)
        except (Exception, asyncio.CancelledError):
            await shielded(tasks.stop(work))
            raise
        await tasks.stop(work)
        if not work.cancelled() and (not_through := work.exception() or work.result()):
            if isinstance(not_through, BaseException) and not lease.ended_by:
                raise not_through
            self._how, self._why = self._how or "gone back", self._why or str(not_through)

    async def _watch_the_end(self, window: WindowParts, work: "asyncio.Task[str]") -> None:
        lease = window.lease
        while not work.done() and not lease.ended_by:
            until = lease.until
            if until > workflow.now():
                try:
                    await workflow.wait_condition(
                        lambda until=until: work.done() or bool(lease.ended_by) or lease.until != until,  # type: ignore[misc]
                        timeout=until - workflow.now(),
                        timeout_summary=f"end of the window, {until:%Y-%m-%d %H:%M %Z}",
                    )
                except TimeoutError:
                    continue
            elif self._moving.locked():
                async with self._moving:  # a word that came before the end is still being carried out
                    continue
            else:
                await self._overrun(window, work)

    async def _overrun(self, window: WindowParts, work: "asyncio.Task[str]") -> None:
        """Ask whether to extend or to go back (6.1); nobody's answer goes back."""
        lease, until = window.lease, window.lease.until
        answer = await window.questions.overrun(
            window.tasks.open, until=lambda: work.done() or bool(lease.ended_by) or lease.until != until
        )
        if answer.choice == "go-back":
            said = "nobody answered" if answer.by == NO_ANSWER else f"{answer.by} said to go back"
            self._how, self._why = "gone back", f"it overran, and {said}"
            lease.end(answer.by)
        elif answer.choice == "extend":
            by = workflow.now() + window.policy.extension - lease.until
            try:
                await self._extend(window, min(by, lease.latest - lease.until), answer.by)
            except Refused as error:
                self.say("problem", f"not extended: {error.message}", section="6.1")
        window.tasks.show()

    async def _extend(self, window: WindowParts, by: timedelta, who: str, why: str = "") -> str:
        """Move the end, if the records let it be moved.

        Raises:
            Refused: the next window of the service is in the way, or the records don't answer.
            InvalidInput: the window has ended, or would last longer than it may.

        """
        lease = window.lease
        async with self._moving:
            lease.check(by)
            await window.hold.move(lease.until + by)
            lease.extend(by)
        until = f"{lease.until:%Y-%m-%d %H:%M %Z}"
        self.say("decision", f"Window extended until {until} {why}".rstrip(), who=who)
        await window.notices.extended()
        return f"until {until}"

    # -- after -------------------------------------------------------------------------------------------

    async def _close(self, window: WindowParts) -> None:
        """Close everything, in whatever way it ended: silence, record, page, customers, channel."""
        how = self._how or "cancelled"
        self.phase("End")
        self.wait_for("")
        window.lease.end(how)
        async with self._moving:  # so that no extension under way silences anew what is lifted here
            pass
        await window.end.close(how, self._why, began=self._started_at, tasks=window.tasks.states)
        await self.settle()  # a cancelled run too ends only when everything has been written down

    def board(self) -> str:
        """Show the window and its tasks."""
        if self.window is None:
            return ""
        return f"{self.window.desk.id}: {self.window.notices.when}\n\n{self.window.tasks.markdown()}".rstrip()

    # -- what people send --------------------------------------------------------------------------------

    @workflow.update(
        name="extend",
        description=described("Let the window last longer.", Extend, "on-call", by="PT30M", reason="the disk is slow"),
    )
    async def extend(self, word: Extend) -> str:
        """Move the end of the window."""
        return await self._extend(self._parts, word.by, f"{word.who} ({word.role})", word.reason)

    @extend.validator
    def _check_extend(self, word: Extend) -> None:
        self.approvals.authorise(word, "maintain")
        self._under_way().lease.check(word.by)

    @workflow.update(
        name="tick",
        description=described(
            "Tick a task that people do, or take a tick back.", TickTask, "on-call", task="disk", note="serial 4711"
        ),
    )
    async def tick(self, word: TickTask) -> str:
        """Take a tick."""
        return self._parts.tasks.tick(word.task, f"{word.who} ({word.role})", word.note, undo=word.undo)

    @tick.validator
    def _check_tick(self, word: TickTask) -> None:
        self.approvals.authorise(word, "maintain")
        self._under_way().tasks.check_tick(word.task, undo=word.undo)

    @workflow.update(
        name="begin",
        description=described(
            "Begin the window now, before its time.", BeginNow, "on-call", reason="everybody is here"
        ),
    )
    async def begin_now(self, word: BeginNow) -> str:
        """Begin it."""
        self.say("decision", f"Begin now {word.reason}".rstrip(), who=f"{word.who} ({word.role})")
        self._begin_now = True
        self._parts.lease.acquired_at = workflow.now()
        return "begins now"

    @begin_now.validator
    def _check_begin_now(self, word: BeginNow) -> None:
        self.approvals.authorise(word, "maintain")
        window = self.window
        if window is None or self.dry_run or self._begin_now or self._started_at or window.lease.ended_by:
            raise Refused("the window has begun already, or ends")
        if window.lease.acquired_at <= workflow.now():
            raise Refused("its time has come: answer what it asks, see `runbooks status`")

    @workflow.update(
        name="end",
        description=described(
            "End the window now: what is under way is stopped.", EndEarly, "on-call", reason="the disk did not fit"
        ),
    )
    async def end(self, word: EndEarly) -> str:
        """End it early."""
        who = f"{word.who} ({word.role})"
        self.say("decision", f"End now: {word.reason}", who=who)
        self._how, self._why = "ended early", word.reason
        self._parts.lease.end(who)
        return f"ends: {counted(len(self._parts.tasks.open), 'task')} not done"

    @end.validator
    def _check_end(self, word: EndEarly) -> None:
        self.approvals.authorise(word, "maintain")
        self._under_way()

    def _under_way(self) -> WindowParts:
        """Give the window while it is in progress.

        Raises:
            Refused: it has not begun, or ends already.

        """
        window = self.window
        if window is None or self.dry_run or self._started_at is None:
            raise Refused("the window has not begun: `runbooks cancel` calls it off")
        if window.lease.ended_by or window.end.verifying:
            raise Refused(f"the window ends already ({window.lease.ended_by or 'it is being verified'})")
        return window

    @property
    def _parts(self) -> WindowParts:
        assert self.window is not None, "what people say before is refused"
        return self.window


async def _check_tenants(request: MaintenanceWindowRequest, notices: WindowNotices) -> None:
    if not request.tenants:
        return
    found = await notices.contacts()
    if found is not None and found.missing:
        raise InvalidInput(f"tenants: there is no customer {', '.join(found.missing)}")
