"""Questions a run asks a person, and the person's signed answer (ARCHITECTURE, rule 6).

An answer arrives as an update whose validator refuses what doesn't count: a question that isn't open, a choice that
isn't offered, a role that may not, a signature that doesn't fit, something else than what was shown. Where settings
want a second person, a choice counts when two people have made it; the question's default takes one. Whoever started
the run is neither of the two, unless settings say so. That a word counts once is `said`'s to see to.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from temporalio import workflow

from activities.catalogue.service import ApprovalPolicy
from activities.common.errors import InvalidInput, JustStarting, Refused
from activities.common.text import Key, Reason
from workflows.platform.signing import SignedWord, Started, digest, forms, objection

ALWAYS_TWO = frozenset({"drain"})
"""Kinds of questions that take a second person whatever settings say (runbook 8.1)."""


_STARTERS_KEPT = 20
"""Names that a run is told by the one that started it: each such run adds a few, and a memo holds anything."""

NO_ANSWER = "no answer"
"""Stands for whoever decides where nobody does: the question's default is taken."""

EVENTS = "events"
"""Stands for whoever decides where what was asked of is over before anybody has."""


class Question(BaseModel):
    """Something a person must decide."""

    id: str = Field(description="Unique in the run, e.g. `mitigation-1`.")
    title: str
    options: dict[str, str] = Field(description="Choice → what it will do.")
    recommended: str | None = None
    default: str = Field(description="What is done when nobody answers, even after escalation.")
    kind: str = Field(description="Key of the approval policy's roles, e.g. `mitigate`.")
    evidence: list[str] = Field(default_factory=list)
    reason_for: list[str] = Field(default_factory=list, description="Choices that count only with a reason.")
    two_for: list[str] = Field(default_factory=list, description="Choices that take two people, whatever settings say.")
    timeout: timedelta = Field(description="Until escalation, and then again until the default.")


class Answer(BaseModel):
    """How a question ended."""

    choice: str
    by: str = Field(description="Person, or what decided instead: `no answer`, `events`.")
    reason: str = ""
    needs: str = Field(default="", description="What is still to come before it counts; empty where it counts.")


class Decided(Answer):
    """A question that is closed, for whoever answers it too late."""

    question: str
    at: datetime


class OpenQuestion(Question):
    """A question as the run shows it to people."""

    asked_at: datetime
    roles: list[str]
    subject: str = Field(description="Digest of what is decided; an answer repeats it.")
    escalated: bool = False
    two_persons: bool = Field(default=False, description="Another choice than the default takes two people.")
    first: Answer | None = Field(default=None, description="What the first of two people has said.")

    def takes_two(self, choice: str) -> bool:
        """Tell whether a choice counts only when two people make it."""
        return choice in self.two_for or (self.two_persons and choice != self.default)


class Decision(SignedWord):
    """The answer to a question."""

    UPDATE = "decide"

    question: Key = Field(description="The question's ID.")
    choice: Key
    reason: Reason = ""
    subject: Key | None = Field(default=None, description="The question's digest, as shown.")


class Approvals:
    """The open questions of one run."""

    def __init__(self) -> None:
        self.policy: ApprovalPolicy | None = None
        self.open: dict[str, OpenQuestion] = {}
        self.answers: dict[str, Answer] = {}
        self.decided: list[Decided] = []
        self.starters: frozenset[str] = frozenset()
        self._first: dict[str, Decision] = {}

    def started_by(self, claimed: str, memo: Any, before: Iterable[str] = ()) -> None:
        """Note who started the run: by the gateway's word, by what the request says, and by the run that started it.

        The others are free text, and whoever starts in another's name only takes that person's right to be one of two.
        """
        names = [claimed, *[*before][:_STARTERS_KEPT]]
        try:
            word = Started.model_validate(memo)
        except ValidationError:
            word = None  # started elsewhere than through a gateway
        if word is not None and self._started_word(word):
            names.append(word.who)
        self.starters = frozenset().union(*map(forms, names))

    def _started_word(self, word: Started) -> bool:
        policy = self._policy()
        no_end = timedelta.max  # it says who may not, and that doesn't become untrue
        why = objection(
            word,
            workflow_id=workflow.info().workflow_id,
            run_id="",
            public_keys=policy.public_keys,
            now=workflow.now(),
            valid_for=no_end,
        )
        return why is None

    def put(self, question: Question) -> OpenQuestion:
        """Open a question."""
        policy = self._policy()
        roles = list(policy.roles.get(question.kind, ()))
        # Without `two_for` the digest is what it was before there was any.
        unsaid = {"timeout"} if question.two_for else {"timeout", "two_for"}
        subject = digest(question.model_dump(mode="json", exclude=unsaid))
        shown = OpenQuestion(
            **question.model_dump(),
            asked_at=workflow.now(),
            roles=roles,
            subject=subject,
            two_persons=question.kind in ALWAYS_TWO or question.kind in policy.second_person,
        )
        self.open[question.id] = shown
        self._first.pop(question.id, None)  # of a question that was asked before under the same ID
        return shown

    def check(self, decision: Decision) -> None:
        """Refuse an answer that doesn't count.

        Raises:
            InvalidInput: no such open question or choice.
            Refused: role or signature don't allow it, or it is about something else.

        """
        question = self.open.get(decision.question)
        if question is None:
            waiting = ", ".join(self.open) or "none"
            raise InvalidInput(f"question: {decision.question!r} is not open. Open questions: {waiting}")
        if decision.choice not in question.options:
            raise InvalidInput(f"choice: not offered. Choices: {', '.join(question.options)}")
        if decision.choice in question.reason_for and not decision.reason.strip():
            raise InvalidInput(f"reason: {decision.choice} counts only with a reason")
        if decision.subject is None and decision.signature is not None:
            raise Refused("subject: a signed answer says what was shown (the question's `subject`): sign it with that")
        if decision.subject is not None and decision.subject != question.subject:
            raise Refused("subject: this decides something else than what is asked now: read the question again")
        self.authorise(decision, question.kind)
        self._check_two(decision, question)

    def _check_two(self, decision: Decision, question: OpenQuestion) -> None:
        if not question.takes_two(decision.choice):
            return
        who, first = forms(decision.who), self._first.get(question.id)
        if who & self.starters and not self._policy().starter_counts:
            raise Refused(
                f"who: {decision.choice} takes two people, and {decision.who} started this run: two others must say it "
                "(`[approvals] starter_counts` lets the starter be one of them)"
            )
        if first is not None and first.choice == decision.choice and who & forms(first.who):
            raise Refused(f"who: {decision.choice} takes a second person, and {decision.who} was the first")

    def close(self, question: str, answer: Answer) -> None:
        """Keep how a question ended, whoever or whatever has answered it."""
        self.open.pop(question, None)
        self.decided.append(Decided(**answer.model_dump(), question=question, at=workflow.now()))

    def authorise(self, word: SignedWord, kind: str) -> None:
        """Refuse a person who may not, or whose word isn't theirs.

        Raises:
            Refused: says what would be needed.

        """
        policy = self._policy()
        allowed = policy.roles.get(kind, ())
        if word.role not in allowed:
            raise Refused(f"role: {word.role!r} may not {kind}. Roles that may: {', '.join(allowed) or 'none'}")
        self.authenticate(word)

    def authenticate(self, word: SignedWord) -> None:
        """Refuse a word that isn't signed by a gateway, unless settings allow it.

        Raises:
            Refused: says why the signature doesn't count.

        """
        policy = self._policy()
        if word.signature is None and policy.allow_unsigned:
            return
        info = workflow.info()
        reason = objection(
            word,
            workflow_id=info.workflow_id,
            run_id=info.run_id,
            public_keys=policy.public_keys,
            now=workflow.now(),
            valid_for=policy.signature_valid_for,
        )
        if reason is not None:
            raise Refused(f"refused: {reason}")

    def answer(self, decision: Decision) -> Answer:
        """Take an answer that has passed `check`; it may need a second person's before it counts."""
        answer = Answer(choice=decision.choice, by=f"{decision.who} ({decision.role})", reason=decision.reason)
        question = self.open[decision.question]
        if question.takes_two(decision.choice):
            first = question.first
            if first is None or first.choice != decision.choice:
                self._first[decision.question] = decision
                question.first = answer
                return answer.model_copy(update={"needs": "a second person who says the same"})
            answer.by = f"{first.by} and {answer.by}"
        self.answers[decision.question] = answer
        self.close(decision.question, answer)
        return answer

    def _policy(self) -> ApprovalPolicy:
        if self.policy is None:
            raise JustStarting("the run is only just starting: try again in a moment")
        return self.policy
