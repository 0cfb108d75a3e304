"""A run as an auditor reads it: who, what, when, why, with what effect.

A story is derived from Temporal's history alone (`audit.reading`), without the code of the procedure, so that it can be
read years later, and for procedures that did not exist when this was written. Times have time zones (UTC).
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from audit.signatures import Standing

Status = Literal["running", "completed", "failed", "canceled", "terminated", "timed out", "continued as new"]
StepOutcome = Literal["completed", "failed", "timed out", "canceled", "running"]
TimerKind = Literal["deadline", "lease", "escalation", "default", "timer"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RunIdentity(_Part):
    """The identity of one run."""

    workflow_id: str
    run_id: str
    workflow_type: str = ""


class Trigger(_Part):
    """What started it."""

    kind: Literal["alert", "person", "schedule", "parent", "earlier run"]
    by: str = Field(description="`requested_by`, the alert's source, the schedule's or the parent's ID.")
    alert: dict[str, Any] | None = Field(default=None, description="The alert itself, as the run got it.")
    identity: str = Field(default="", description="Who asked Temporal, as Temporal saw it: process and host.")


class Effect(_Part):
    """What a step did outside."""

    key: str
    target: str = ""
    before: str = ""
    after: str = ""
    applied: bool | None = Field(default=None, description="False: in plan mode, or an earlier attempt had done it.")
    note: str = ""
    dry_run: bool = False


class Step(_Part):
    """One activity: all attempts of it."""

    event_id: int = Field(description="Of its ActivityTaskScheduled, where the history has one.")
    section: str = Field(description="Section and step of the runbook, e.g. `2.2/3`; empty where none is told.")
    title: str
    activity: str = Field(description="Activity type, e.g. `kubernetes.scale`.")
    local: bool = False
    scheduled_at: datetime
    started_at: datetime | None = Field(default=None, description="Of the last attempt.")
    ended_at: datetime | None = None
    attempts: int = 1
    outcome: StepOutcome
    phase: str = ""
    effect: Effect | None = None
    result: str = Field(default="", description="One line; empty where it failed.")
    failure: str = Field(default="", description="`Type: message`, of the end or else of the last attempt but one.")
    worker: str = Field(default="", description="Identity of the last attempt's worker.")

    @property
    def took(self) -> timedelta | None:
        """From its scheduling to its end, waits for a worker and for retries included."""
        return self.ended_at - self.scheduled_at if self.ended_at else None


class Question(_Part):
    """What a person was asked."""

    id: str
    title: str
    options: dict[str, str]
    recommended: str | None = None
    default: str = ""
    kind: str = ""
    roles: list[str] = Field(default=[])
    subject: str = Field(default="", description="Digest of what is decided.")
    two_persons: bool = Field(default=False, description="Another choice than the default took two people.")
    asked_at: datetime
    escalated_at: datetime | None = None
    answered_at: datetime | None = None
    choice: str = ""
    by: str = Field(default="", description="Person (role), `no answer` or `events`.")
    reason: str = ""

    @property
    def delay(self) -> timedelta | None:
        """How long the run waited for it."""
        return self.answered_at - self.asked_at if self.answered_at else None


class Word(_Part):
    """What a person sent into the run by an update: an answer, a note, a closing, an extension."""

    event_id: int
    at: datetime
    update: str = Field(description="For example `decide`, `note`, `close`, `extend`.")
    who: str = ""
    role: str = ""
    fields: dict[str, Any] = Field(default={}, description="The rest of it, without the signature.")
    standing: Standing = Field(description="What its signature is worth against the keys the run had pinned.")
    key: str = Field(default="", description="The gateway's public key that it fits, base64.")
    outcome: str = Field(default="", description="The run's answer, or why it failed.")
    failed: bool = Field(default=False, description="The run took it, and then could not do what it says.")


class Signal(_Part):
    """What was sent by a machine."""

    event_id: int
    at: datetime
    name: str
    body: Any = None
    identity: str = ""


class Timer(_Part):
    """A durable timer."""

    event_id: int
    kind: TimerKind
    name: str = Field(description="For example `Acknowledged`; the question's ID; the lease's name.")
    started_at: datetime
    due_at: datetime
    fired_at: datetime | None = None
    canceled_at: datetime | None = None

    @property
    def missed(self) -> bool | None:
        """Of a deadline: whether it passed before it was met. None while neither."""
        return None if self.fired_at is None and self.canceled_at is None else self.fired_at is not None


class Said(_Part):
    """What the run itself said: phases, decisions and why, deadlines, problems."""

    at: datetime
    kind: str
    phase: str = ""
    section: str = ""
    text: str
    who: str = ""


class Phase(_Part):
    """A phase of the runbook."""

    name: str
    started_at: datetime
    ended_at: datetime | None = None


class Child(_Part):
    """A run that this one started."""

    run: RunIdentity
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Status | Literal["not started"] = "running"


class Story(_Part):
    """One run, from the first to the last event of its history."""

    format: Literal[1] = 1
    namespace: str
    run: RunIdentity
    first_run_id: str = Field(description="Of the chain of continued runs and retries.")
    continued_from: str = Field(default="", description="Run ID.")
    continued_to: str = Field(default="", description="Run ID.")
    parent: RunIdentity | None = None
    section: str = Field(default="", description="For example `2.2`.")
    title: str
    service: str = ""
    severity: str = ""
    tenant: str = ""
    incident_id: str = ""
    outcome: str = Field(default="", description="The procedure's own word, e.g. `closed`, `planned`.")
    status: Status
    failure: str = ""
    dry_run: bool = False
    started_at: datetime
    ended_at: datetime | None = None
    trigger: Trigger
    request: Any = Field(default=None, description="As decoded; null where it can't be.")
    result: Any = None
    phases: list[Phase] = []
    steps: list[Step] = []
    questions: list[Question] = []
    words: list[Word] = []
    signals: list[Signal] = []
    timers: list[Timer] = []
    said: list[Said] = []
    children: list[Child] = []
    events: int = Field(description="How many events the history has.")
    unreadable: int = Field(default=0, description="Payloads that are encrypted or redacted, and could not be read.")

    @property
    def took(self) -> timedelta | None:
        """From start to end."""
        return self.ended_at - self.started_at if self.ended_at else None

    @property
    def actors(self) -> list[str]:
        """Everybody who had a say: `who` of the words, and who started it."""
        people = [word.who for word in self.words if word.who]
        if self.trigger.kind == "person" and self.trigger.by:
            people.append(self.trigger.by)
        return sorted(set(people))

    @property
    def targets(self) -> list[str]:
        """Everything an effect was on, e.g. `deployment/tensafe-server`."""
        return sorted({step.effect.target for step in self.steps if step.effect and step.effect.target})
