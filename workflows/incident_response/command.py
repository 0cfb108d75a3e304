"""Who has an incident in hand: a person takes it over, and gives it back (runbook 2.2)."""

from pydantic import Field

from activities.common.text import Reason
from workflows.platform.approval import Question
from workflows.platform.signing import SignedWord


class TakeOver(SignedWord):
    """A person has it: the run then only watches, records and reminds."""

    UPDATE = "take-over"

    reason: Reason = Field(default="", description="What they are going to do; for the record.")


class HandBack(SignedWord):
    """The run goes on by itself again."""

    UPDATE = "hand-back"

    reason: Reason = Field(default="", description="How they leave it; for the record.")


class Declined:
    """What a person has said no to: it isn't asked again, and not done unasked, until something else is proposed."""

    def __init__(self) -> None:
        self._what: tuple[str | None, ...] | None = None

    def __bool__(self) -> bool:
        return self._what is not None

    def say(self, question: Question) -> None:
        """Remember the question that was answered with no."""
        self._what = _what(question)

    def covers(self, question: Question) -> bool:
        """Tell whether a question asks nothing else."""
        return self._what == _what(question)

    def forget(self) -> None:
        """Ask again: the trouble is another one."""
        self._what = None


def _what(question: Question) -> tuple[str | None, ...]:
    return (question.recommended, *question.options)
