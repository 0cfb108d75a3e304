"""What every procedure stands on: steps with a timeline, clocks, questions, notes, status.

A procedure derives from `Runbook`, implements its own `run`, and reads like the runbook's page: what the platform
needs (effect keys, summaries, timeline, degraded backends, search attributes) happens here.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, ClassVar, TypeVar, overload

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import SearchAttributeUpdate, VersioningBehavior
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

from activities.catalogue.lookup import Catalogue, Resolved, ResolveService
from activities.catalogue.service import Service
from activities.common.effects import Change, Effect, is_effect
from activities.common.errors import InvalidInput, Refused
from activities.common.text import fitted
from activities.monitoring.resets import DoneBeforeRequest, Resets
from activities.monitoring.workers import WorkerWord
from activities.records.alerts import EPISODES_KEPT, Alert
from audit.text import length, plain
from workflows.platform import policies, search_attributes
from workflows.platform.approval import EVENTS, NO_ANSWER, Answer, Approvals, Decision, OpenQuestion, Question
from workflows.platform.clocks import Clocks
from workflows.platform.described import described
from workflows.platform.lease import Lease
from workflows.platform.lookups import looked_up
from workflows.platform.policies import Policy
from workflows.platform.questions import EXAMPLE, in_ui
from workflows.platform.requests import RunbookRequest, ServiceRequest
from workflows.platform.run_status import Note, RunStatus
from workflows.platform.said import SaidWords
from workflows.platform.signing import STARTED, STARTERS, SignedWord
from workflows.platform.timeline import Kind, Timeline

_WRITTEN: frozenset[Kind] = frozenset({"phase", "decision", "deadline", "problem"})
"""What only the procedure's code knows. It is written into the history; steps, notes and signals are there anyway."""

_TOLD_BEFORE, _MOST_TOLD_BEFORE = 300, 30
"""How long each effect of before a reset is told, and how many of them: a run may have done hundreds."""

_Req = TypeVar("_Req", bound=BaseModel)
_Res = TypeVar("_Res")
NOBODY_TOLD = "not told"
"""Stands for who started a run that nobody's name came with."""


class Runbook:
    """Base of every procedure. Subclasses set `SECTION`, and call `begin` first in `run`."""

    SECTION: ClassVar[str]
    VERSIONING: ClassVar[VersioningBehavior] = VersioningBehavior.PINNED
    NEEDS_ITS_PAST: ClassVar[bool] = False
    """Whether a run that was reset must know what it had done: what it would do again can't be taken back."""
    """Under Worker Versioning a run ends with the version that it began with. What may take days moves on to the
    current one, so that no old version has to be kept for it: its changes stand behind `workflow.patched`."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self.approvals = Approvals()
        self.said_words = SaidWords(self._said_again)
        self.clocks = Clocks(lambda text, at=None: self.say("deadline", text, at=at))
        self.title = ""
        self.service: Service | None = None
        self.severity = ""
        self.incident_id = ""
        self.looks_at_windows = False
        self.pinned: Resolved | None = None
        """What settings said when the run began."""

        self.outcome = ""
        self.waiting_for = ""
        self.lacks: dict[str, WorkerWord] = {}
        """Role that no worker has → the step of this run that needs it."""

        self.dry_run = False
        self.actor = ""
        self.epoch = ""
        self._keys: dict[str, int] = {}
        self._ids = 0
        self._background: set[asyncio.Task[Any]] = set()
        self._episodes: list[str] = []
        self._taken: set[str] = set()
        self.done_before: dict[str, Change] = {}
        """What this run had done before somebody reset it: name of the effect → its change."""
        self.begun_before: set[str] = set()
        """The same with what it had only begun."""

    # -- beginning ---------------------------------------------------------------------------------------

    async def begin(self, request: RunbookRequest, *, title: str, service: str | None, severity: str = "") -> Service:
        """Pin settings for the named service and make the run findable.

        Raises:
            InvalidInput: the catalogue doesn't have the service; lists those it has.

        """
        if not workflow.info().workflow_id.isprintable():
            raise InvalidInput(
                "the workflow ID has control characters, which records can't keep: start it under another"
            )
        self.title = title
        # Those that earlier runs of this ID took are not this run's, but the next one must know of them too.
        self._episodes = _memo("episodes", list[str]) or []
        self.dry_run = request.dry_run
        self.actor = request.requested_by or NOBODY_TOLD
        resolved = await looked_up(Catalogue.resolve, ResolveService(service=service), "Pin the service's settings")
        if isinstance(request, ServiceRequest) and request.alert is not None:
            self.took(request.alert)
        self.service = resolved.service
        self.looks_at_windows = resolved.windows
        self.pinned = resolved
        self.approvals.policy = resolved.approvals
        self.approvals.started_by(
            request.requested_by, _memo(STARTED, dict[str, Any]), _memo(STARTERS, list[str]) or []
        )
        workflow.upsert_memo({"runbook": {"section": self.SECTION, "title": title}})
        self.severity = severity
        self.mark(
            search_attributes.PROCEDURE.value_set(workflow.info().workflow_type),
            search_attributes.SERVICE.value_set(resolved.service.name),
            *([search_attributes.SEVERITY.value_set(severity)] if severity else []),
        )
        await self._look_back()
        return resolved.service

    async def _look_back(self) -> None:
        """Read what this run did before somebody reset it, and say so: times go on counting, and nothing is done twice.

        What decides by it asks `done_before`; without it a run goes on by what it finds, if that can do no harm.

        Raises:
            Refused: it can't be read, and this procedure needs it. Nothing has been done.

        """
        if not (was_reset() and workflow.patched("done-before-reset")):
            return
        found = await self.attempt(
            self.SECTION, "Done before the reset", Resets.done, DoneBeforeRequest(), policies.READ
        )
        if found is None:
            unread = "This run was reset, and what it had done before can't be read"
            if self.NEEDS_ITS_PAST:
                raise Refused(f"{unread}: nothing was done. Look at the target, and start a new run")
            self.say("problem", unread)
            return
        self.done_before = {key.rpartition("/")[2]: change for key, change in found.changes.items()}
        self.begun_before = {key.rpartition("/")[2] for key in found.begun}
        self.clocks.before = found.deadlines
        told = [fitted(str(change), _TOLD_BEFORE) for change in self.done_before.values()][-_MOST_TOLD_BEFORE:]
        had = f"had done, and does not do again: {'; '.join(told)}" if told else "had done nothing outside"
        self.say("decision", f"This run was reset, and {had}")

    # -- saying ------------------------------------------------------------------------------------------

    def say(
        self,
        kind: Kind,
        text: str,
        *,
        section: str = "",
        who: str = "",
        seconds: float | None = None,
        phase: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Add to the timeline, show it in the UI, and write into the history what that doesn't tell by itself."""
        entry = self.timeline.add(at or workflow.now(), kind, text, section=section, who=who, seconds=seconds)
        if phase is not None:
            entry.phase = phase
        if kind in _WRITTEN:
            workflow.upsert_memo({"said": entry.model_dump(mode="json")})
        workflow.set_current_details(self.timeline.details(self._heading()))

    def phase(self, name: str) -> None:
        """Enter a phase of the runbook."""
        if self.timeline.phase != name:
            self.timeline.phase = name
            self.say("phase", name)

    def mark(self, *updates: SearchAttributeUpdate[Any]) -> None:
        """Set search attributes."""
        workflow.upsert_search_attributes(list(updates))

    def finish(self, outcome: str) -> None:
        """Set how the run ended, for people who search."""
        self.outcome = outcome
        self.mark(search_attributes.OUTCOME.value_set(outcome))

    def wait_for(self, what: str) -> None:
        """Show that only a person can bring the run on now; empty when that is over."""
        self.waiting_for = what
        key = search_attributes.WAITING_FOR
        self.mark(key.value_set(what) if what else key.value_unset())
        workflow.set_current_details(self.timeline.details(self._heading()))

    def _heading(self) -> str:
        plan = " — **plan only, nothing is changed**" if self.dry_run else ""
        waiting = f"\n\n**Waiting for: {plain(self.waiting_for)}**" if self.waiting_for else ""
        waiting += "".join(f"\n\n**No worker of role {role}: {plain(str(what))}**" for role, what in self.lacks.items())
        asked = "".join(in_ui(question) for question in self.approvals.open.values())
        return f"{asked}### {plain(self.title)}{plan}{waiting}\n{self.board()}".rstrip()

    def leases(self) -> list[Lease]:
        """Give what the run holds for a time now."""
        return []

    def board(self) -> str:
        """Show what the run holds for people; procedures that hold something override it."""
        return ""

    # -- doing -------------------------------------------------------------------------------------------

    def effect(self, step: str) -> Effect:
        """Give the identity of the next effect of that name."""
        count = self._keys[step] = self._keys.get(step, 0) + 1
        return self._identity(step if count == 1 else f"{step}-{count}")

    def first_effect(self, step: str) -> Effect:
        """Give the identity of the first effect of that name, to ask what became of it before a reset."""
        return self._identity(step)

    def _identity(self, name: str) -> Effect:
        info = workflow.info()
        return Effect(
            key="/".join(filter(None, (info.workflow_id, info.first_execution_run_id, self.epoch, name))),
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            actor=self.actor,
            dry_run=self.dry_run,
        )

    def own_id(self, length: int) -> str:
        """Make up an ID, the same for a retry and after a reset: what bears it is there already then.

        It can't be guessed by who doesn't know the run ID, which is random.
        """
        if self.pinned is None or not self.pinned.own_ids:
            return workflow.uuid4().hex[:length]
        self._ids += 1
        info = workflow.info()
        text = "/".join((info.workflow_id, info.first_execution_run_id, self.epoch, str(self._ids)))
        return hashlib.sha256(text.encode()).hexdigest()[:length]

    @overload
    async def step(
        self, section: str, title: str, method: Callable[[Any, _Req], Awaitable[_Res]], request: _Req, policy: Policy
    ) -> _Res: ...

    @overload
    async def step(
        self, section: str, title: str, method: Callable[[Any, _Req], _Res], request: _Req, policy: Policy
    ) -> _Res: ...

    async def step(
        self, section: str, title: str, method: Callable[[Any, _Req], Any], request: _Req, policy: Policy
    ) -> Any:
        """Run an activity as a step of the runbook.

        Raises:
            ActivityError: it failed for good; the timeline says so already.

        """
        phase, started = self.timeline.phase, workflow.now()
        try:
            result = await workflow.execute_activity_method(
                method,
                request,
                start_to_close_timeout=policy.start_to_close,
                schedule_to_close_timeout=policy.schedule_to_close,
                heartbeat_timeout=policy.heartbeat,
                retry_policy=policy.retry,
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary=f"{section} {title}",
            )
        except ActivityError as error:
            if not _cancelled(error):
                self.say("problem", f"{title}: {reason(error)}", section=section, phase=phase)
            raise
        self._was_taken(method)
        acts = is_effect(method)
        would = "would: " if acts and self.dry_run else ""
        self.say(
            "effect" if acts else "step",
            f"{title}: {would}{result}",
            section=section,
            seconds=(workflow.now() - started).total_seconds(),
            phase=phase,
        )
        return result

    async def keep(self, section: str, title: str, method: Callable[[Any, _Req], _Res], request: _Req) -> _Res | None:
        """Write a record or a message that nobody waits for and that must not be lost.

        None when the first tries fail; the timeline says so, the run goes on, and the same effect is tried in the
        background for a day.
        """
        result = await self.attempt(section, title, method, request, policies.RECORD)
        if result is None:
            self.background(self.attempt(section, f"{title}, late", method, request, policies.PERSIST))
        return result

    @overload
    async def attempt(
        self, section: str, title: str, method: Callable[[Any, _Req], Awaitable[_Res]], request: _Req, policy: Policy
    ) -> _Res | None: ...

    @overload
    async def attempt(
        self, section: str, title: str, method: Callable[[Any, _Req], _Res], request: _Req, policy: Policy
    ) -> _Res | None: ...

    async def attempt(
        self, section: str, title: str, method: Callable[[Any, _Req], Any], request: _Req, policy: Policy
    ) -> Any:
        """Run a step that the run can do without: None when its backend fails, and the timeline says so."""
        try:
            return await self.step(section, title, method, request, policy)
        except ActivityError as error:
            if _cancelled(error):
                raise
            return None

    def background(self, work: Coroutine[Any, Any, _Res]) -> "asyncio.Task[_Res]":
        """Do something beside the main line; `settle` waits for all of it."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def settle(self) -> None:
        """Wait for everything in the background, and for update handlers."""
        while self._background:
            await asyncio.gather(*self._background)
        await workflow.wait_condition(workflow.all_handlers_finished)

    # -- asking ------------------------------------------------------------------------------------------

    async def ask(
        self,
        question: Question,
        *,
        escalate: Callable[[str], Awaitable[None]],
        until: Callable[[], bool] = lambda: False,
    ) -> Answer:
        """Ask a person; no answer in time escalates, and then takes the question's default.

        `until` ends the question early when events have answered it.
        """
        shown = self.approvals.put(question)
        workflow.upsert_memo({"asked": shown.model_dump(mode="json")})
        self.wait_for(f"decide {question.id}")
        self.say("decision", f"Asked: {question.title} ({', '.join(question.options)})")
        try:
            answer = await self._answered(question, shown, escalate, until)
        except (Exception, asyncio.CancelledError):
            self._asked(question)
            raise
        # Not in a `finally`: that would also run when a worker drops the run from its cache, and may say nothing then.
        self._asked(question)
        return answer

    async def _answered(
        self,
        question: Question,
        shown: OpenQuestion,
        escalate: Callable[[str], Awaitable[None]],
        until: Callable[[], bool],
    ) -> Answer:
        for last in (False, True):
            try:
                await workflow.wait_condition(
                    lambda: question.id in self.approvals.answers or until(),
                    timeout=question.timeout,
                    timeout_summary=f"{'default' if last else 'escalation'} of {question.id}",
                )
            except TimeoutError:
                if not last:
                    shown.escalated = True
                    self.say("deadline", f"No answer to {question.id} within {length(question.timeout)}: escalating")
                    await escalate(f"nobody has answered: {question.title}")
                continue
            break
        answer = self.approvals.answers.get(question.id)
        if answer is None:
            by = EVENTS if until() else NO_ANSWER
            answer = Answer(choice="none" if until() else question.default, by=by)
            self.approvals.close(question.id, answer)
            self.say("decision", f"{question.id}: {answer.choice} ({by})")
        return answer

    def _asked(self, question: Question) -> None:
        self.approvals.open.pop(question.id, None)
        self.wait_for("")

    # -- what people send and read -----------------------------------------------------------------------

    @workflow.signal(
        name="alert",
        description="A firing or its end, from the webhook.",
        # A run that fails at its start, for an unknown service, leaves the alert that started it waiting.
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alert(self, alert: Alert) -> None:
        """Take the alert firing again, or resolving; a procedure that acts on it overrides this."""
        await workflow.wait_condition(lambda: self.service is not None)
        if alert.status == "resolved":
            self.say("signal", f"{alert.name} has resolved by itself, says {alert.source}")
        elif not self.has_taken(alert):
            self.say("signal", f"{alert.name} fires again: this run has it already")
            self.took(alert)

    @workflow.signal(
        name="alerts",
        description="Firings and their ends that one post has for this run, in order, from the webhook.",
        unfinished_policy=workflow.HandlerUnfinishedPolicy.ABANDON,
    )
    async def alerts(self, alerts: list[Alert]) -> None:
        """Take each of them, one after another."""
        for alert in alerts:
            await self.alert(alert)

    @workflow.signal(name="worker", description="No worker has the role that a step needs, or one has it again.")
    def worker(self, word: WorkerWord) -> None:
        """Say what the run waits for. It changes nothing that the run does, so there is nothing to replay."""
        if word.back:
            self._has(word.role)
        elif word.role not in self.lacks:
            self.lacks[word.role] = word
            self.say("signal", f"No worker of role {word.role}: {word}")

    def _has(self, role: str) -> None:
        if self.lacks.pop(role, None) is not None:
            self.say("signal", f"A worker of role {role} is there again")

    def _was_taken(self, method: Callable[..., Any]) -> None:
        """See by the end of a step that its role has a worker: sooner than anybody could say so."""
        if self.lacks:
            step = str(getattr(method, "__temporal_activity_definition").name)
            for role in [role for role, word in self.lacks.items() if word.step == step]:
                self._has(role)

    def took(self, *alerts: Alert) -> None:
        """Remember firings where the webhook finds them, also after the run has closed."""
        episodes = list(dict.fromkeys(alert.episode for alert in alerts))
        self._taken.update(episodes)
        if unknown := [episode for episode in episodes if episode not in self._episodes]:
            self._episodes = [*self._episodes, *unknown][-EPISODES_KEPT:]
            workflow.upsert_memo({"episodes": self._episodes})

    def has_taken(self, alert: Alert) -> bool:
        """Tell whether this run took a firing."""
        return alert.episode in self._taken

    @property
    def handed_on(self) -> dict[str, Any]:
        """Give the memo of a run that goes on under the same ID."""
        started = _memo(STARTED, dict[str, Any])
        return {"episodes": self._episodes, **self.began, **({STARTED: started} if started else {})}

    @property
    def began(self) -> dict[str, Any]:
        """Give the memo of a run that this one starts: who began it all is not one of two people there either."""
        return {STARTERS: sorted(self.approvals.starters)} if self.approvals.starters else {}

    @workflow.query(name="status", description="The run at a glance: phase, clocks, open questions, timeline.")
    def status(self) -> RunStatus:
        """Answer the `status` query."""
        info = workflow.info()
        return RunStatus(
            section=self.SECTION,
            procedure=info.workflow_type,
            title=self.title,
            phase=self.timeline.phase,
            started_at=info.workflow_start_time,
            now=workflow.now(),
            dry_run=self.dry_run,
            service=self.service.name if self.service else "",
            severity=self.severity,
            incident_id=self.incident_id,
            outcome=self.outcome,
            waiting_for=self.waiting_for,
            lacks=[f"{role}: {what}" for role, what in self.lacks.items()],
            clocks=self.clocks.all,
            questions=list(self.approvals.open.values()),
            decided=self.approvals.decided,
            entries=self.timeline.entries,
            leases=self.leases(),
            board=self.board(),
        )

    @workflow.update(name="decide", description="Answer an open question of this run. " + EXAMPLE)
    async def decide(self, decision: Decision) -> Answer:
        """Take a person's answer."""
        answer = self.approvals.answer(decision)
        because = f": {answer.reason}" if answer.reason else ""
        needs = f" (needs {answer.needs})" if answer.needs else ""
        self.say("decision", f"{decision.question}: {answer.choice}{because}{needs}", who=answer.by)
        return answer

    @decide.validator
    def _check_decision(self, decision: Decision) -> None:
        self.approvals.check(decision)

    @workflow.update(
        name="note",
        description=described("Add a remark to this run's timeline and records.", Note, "on-call", text="DNS was fine"),
    )
    async def note(self, note: Note) -> str:
        """Take a person's remark."""
        self.say("note", note.text, who=f"{note.who} ({note.role})")
        await self.noted(note)
        return f"noted on {self.incident_id or workflow.info().workflow_id}"

    @note.validator
    def _check_note(self, note: Note) -> None:
        self.approvals.authenticate(note)

    async def noted(self, note: Note) -> None:
        """Keep a remark beyond the timeline; procedures with a record override it."""

    def _said_again(self, text: str, word: SignedWord) -> None:
        self.say("note", text, who=f"{word.who} ({word.role})")


def was_reset() -> bool:
    """Tell whether somebody has reset this run: it begins again, and what it did is done."""
    info = workflow.info()
    if info.original_execution_run_id not in {"", info.run_id}:
        return True
    # Where a history is replayed without its server (`tests.replay.live`), the original is taken for the run's own ID.
    return info.continued_run_id is None and info.first_execution_run_id not in {"", info.run_id}


def _memo(name: str, hint: Any) -> Any:
    """Give a memo of ours; None where there is none, or where whoever started the run has put something else there."""
    try:
        return workflow.memo_value(name, None, type_hint=hint)
    except Exception:  # noqa: BLE001  whatever it is, the run must not stick
        return None


def reason(error: ActivityError) -> str:
    """Say why an activity failed, as its typed failure says it."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return f"{cause.type or 'failed'}: {cause.message}"
    return str(cause or error)


def _cancelled(error: ActivityError) -> bool:
    return isinstance(error.cause, CancelledError)
