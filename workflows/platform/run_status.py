"""What people read of a run, and the remark they may leave on it."""

from datetime import datetime

from pydantic import BaseModel, Field

from activities.common.text import Words
from workflows.platform.approval import Decided, OpenQuestion
from workflows.platform.clocks import Clock
from workflows.platform.lease import Lease
from workflows.platform.signing import SignedWord
from workflows.platform.timeline import Entry


class RunStatus(BaseModel):
    """The run at a glance, as the `status` query answers it."""

    section: str
    procedure: str
    title: str
    phase: str
    started_at: datetime
    now: datetime
    dry_run: bool
    service: str = ""
    severity: str = ""
    incident_id: str = ""
    outcome: str = ""
    waiting_for: str = Field(default="", description="What only a person can do now, e.g. `close`.")
    lacks: list[str] = Field(default=[], description="Roles of workers that none has, and a step needs.")
    clocks: list[Clock]
    questions: list[OpenQuestion]
    decided: list[Decided] = Field(
        default=[], description="Questions that are closed, in the order in which they were."
    )
    entries: list[Entry]
    leases: list[Lease] = Field(default=[], description="What it holds for a time, and until when.")
    board: str = Field(default="", description="Markdown of what the run holds for people, e.g. a checklist.")


class Note(SignedWord):
    """A person's remark for the timeline and the records."""

    UPDATE = "note"

    text: Words = Field(min_length=1, max_length=10_000)
