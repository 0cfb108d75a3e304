"""What people send to a maintenance window (runbook 6.1); more time is `Extend`."""

from pydantic import Field

from activities.common.text import Key, Words
from workflows.platform.signing import SignedWord


class TickTask(SignedWord):
    """A task that people do is done, or is not after all."""

    UPDATE = "tick"

    task: Key = Field(min_length=1, max_length=60)
    note: Words = Field(default="", max_length=2000)
    undo: bool = Field(default=False, description="Take a tick back.")


class BeginNow(SignedWord):
    """The window begins now, before its time; its end stays."""

    UPDATE = "begin"

    reason: Words = Field(default="", max_length=2000)


class EndEarly(SignedWord):
    """The window ends now: what is under way is stopped, and the service verified."""

    UPDATE = "end"

    reason: Words = Field(min_length=1, max_length=2000)
