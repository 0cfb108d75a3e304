"""What a run asks people, and what they say to it unasked."""

import asyncio
from collections.abc import Awaitable, Callable

from temporalio import workflow

from audit.text import length
from workflows.platform.approval import EVENTS, NO_ANSWER, Answer, Decision, OpenQuestion, Question
from workflows.platform.described import described
from workflows.platform.questions import EXAMPLE
from workflows.platform.run_status import Note
from workflows.platform.said import SaidWords
from workflows.platform.signing import SignedWord
from workflows.platform.steps import Steps


class Asking(Steps):
    """A run that people answer."""

    def __init__(self) -> None:
        super().__init__()
        self.said_words = SaidWords(self._said_again)

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
